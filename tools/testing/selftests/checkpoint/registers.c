// SPDX-License-Identifier: GPL-2.0
/*
 * What a task has in its registers while it computes.
 *
 * A thread loads known values everywhere and spins without a system call. When
 * it is told to look, it stores what it has then, for the checks.
 */
#include <pthread.h>

#include "cr.h"
#include "registers.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <asm/prctl.h>

int spin_look;
uint64_t spin_in[264];
uint64_t spin_out[264];

static void (*spin)(void);
static int looks;

static void *spinner(void *arg)
{
	for (;;) {
		spin();
		cr_set(&looks, looks + 1);
		while (cr_get(&spin_look))
			cr_msleep(1);
	}
	return NULL;
}

static void start(void (*fn)(void))
{
	pthread_t thread;

	spin = fn;
	NEED(!pthread_create(&thread, NULL, spinner, NULL));
	cr_msleep(20);
}

/* Has the thread store its registers, and load and spin anew after that. */
static void look(void)
{
	int n = cr_get(&looks);

	memset(spin_out, 0xee, sizeof(spin_out));
	cr_set(&spin_look, 1);
	cr_await(&looks, n + 1);
	cr_set(&spin_look, 0);
	cr_msleep(20);
}

static void integer_setup(void)
{
	cr_pattern(spin_in, sizeof(spin_in), 1);
	start(spin_integer);
}

static void integer_check(enum cr_phase phase)
{
	look();
	CHECK_MEM(spin_out, spin_in, 15 * 8);
}

static void flags_setup(void)
{
	start(spin_flags);
}

static void flags_check(enum cr_phase phase)
{
	look();
	CHECK_EQ(spin_out[0] & 0x400, 0x400);
}

static void sse_setup(void)
{
	cr_pattern(spin_in, sizeof(spin_in), 2);
	start(spin_sse);
}

static void sse_check(enum cr_phase phase)
{
	look();
	CHECK_MEM(spin_out, spin_in, 16 * 16);
}

static void avx_setup(void)
{
	if (!__builtin_cpu_supports("avx"))
		cr_skip("this CPU has no AVX");
	cr_pattern(spin_in, sizeof(spin_in), 3);
	start(spin_avx);
}

static void avx_check(enum cr_phase phase)
{
	look();
	CHECK_MEM(spin_out, spin_in, 16 * 32);
}

static void avx512_setup(void)
{
	if (!__builtin_cpu_supports("avx512bw"))
		cr_skip("this CPU has no AVX-512");
	cr_pattern(spin_in, sizeof(spin_in), 4);
	start(spin_avx512);
}

static void avx512_check(enum cr_phase phase)
{
	look();
	CHECK_MEM(spin_out, spin_in, 32 * 64 + 8 * 8);
}

static void mxcsr_setup(void)
{
	/* Flush to zero, round towards zero, a sticky flag. */
	spin_in[0] = 0x1f80 | 0x8000 | 0x6000 | 0x0020;
	start(spin_mxcsr);
}

static void mxcsr_check(enum cr_phase phase)
{
	look();
	CHECK_EQ((uint32_t)spin_out[0], spin_in[0]);
}

static uint64_t x87_was[64];

static void x87_setup(void)
{
	/* Double precision, round down, all exceptions masked. */
	spin_in[0] = 0x067f;
	start(spin_x87);
	look();
	memcpy(x87_was, spin_out, sizeof(x87_was));
	CHECK_EQ(x87_was[0] & 0xffff, 0x067f);
	/* Five pushes: the top of the stack is register 3. */
	CHECK_EQ(x87_was[0] >> 32 >> 11 & 7, 3);
}

static void x87_check(enum cr_phase phase)
{
	const unsigned char *out = (void *)spin_out, *was = (void *)x87_was;

	look();
	/* Control, status and tag word, then the eight registers. */
	CHECK_MEM(out, was, 12);
	CHECK_MEM(out + 28, was + 28, 80);
}

/* Thread-local memory is found through the base of a segment. */
static unsigned long fs_base, gs_area[2] = { 0xabcdef0123456789, 77 };

static unsigned long base_of(int code)
{
	unsigned long base = 0;

	CHECK_EQ(syscall(SYS_arch_prctl, code, &base), 0);
	return base;
}

static void bases_setup(void)
{
	fs_base = base_of(ARCH_GET_FS);
	NEED(!syscall(SYS_arch_prctl, ARCH_SET_GS, gs_area));
}

static void bases_check(enum cr_phase phase)
{
	unsigned long a, b;

	asm volatile("mov %%gs:0, %0\n mov %%gs:8, %1" : "=r"(a), "=r"(b));
	CHECK_EQ(a, gs_area[0]);
	CHECK_EQ(b, gs_area[1]);
	CHECK_EQ(base_of(ARCH_GET_GS), (uintptr_t)gs_area);
	CHECK_EQ(base_of(ARCH_GET_FS), fs_base);
}

/* The rights of the protection keys, of this thread alone. */
static unsigned int rdpkru(void)
{
	unsigned int eax, edx;

	asm volatile(".byte 0x0f, 0x01, 0xee" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

static const unsigned int pkru = 0x55555554 & ~(3U << 10);

static void pkru_setup(void)
{
	unsigned int a, b, c, d;

	/* OSPKE: the kernel has switched the feature on. */
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(c & 1 << 4))
		cr_skip("no protection keys");
	asm volatile(".byte 0x0f, 0x01, 0xef" : : "a"(pkru), "c"(0), "d"(0));
}

static void pkru_check(enum cr_phase phase)
{
	CHECK_EQ(rdpkru(), pkru);
}

static const struct cr_scenario scenarios[] = {
	{ "registers.integer", CR_TREE, integer_setup, integer_check },
	{ "registers.flags", CR_TREE, flags_setup, flags_check },
	{ "registers.sse", CR_TREE, sse_setup, sse_check },
	{ "registers.avx", CR_TREE, avx_setup, avx_check },
	{ "registers.avx512", CR_TREE, avx512_setup, avx512_check },
	{ "registers.mxcsr", CR_TREE, mxcsr_setup, mxcsr_check },
	{ "registers.x87", CR_TREE, x87_setup, x87_check },
	{ "registers.segment_bases", CR_ANY, bases_setup, bases_check },
	{ "registers.pkru", CR_ANY, pkru_setup, pkru_check },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}

#else

int main(void)
{
	ksft_exit_skip("no registers are known for this architecture\n");
}

#endif
