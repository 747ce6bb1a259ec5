/* SPDX-License-Identifier: GPL-2.0 */
/* What spin.S and registers.c have in common. */
#ifndef SELFTEST_CHECKPOINT_REGISTERS_H
#define SELFTEST_CHECKPOINT_REGISTERS_H

#include <stdint.h>

/* Set when the registers shall be stored. */
extern int spin_look;

/* Room for 32 registers of 64 bytes, and 8 of 8. */
extern uint64_t spin_in[264];
extern uint64_t spin_out[264];

void spin_integer(void);
void spin_flags(void);
void spin_sse(void);
void spin_avx(void);
void spin_avx512(void);
void spin_x87(void);
void spin_mxcsr(void);

#endif /* SELFTEST_CHECKPOINT_REGISTERS_H */
