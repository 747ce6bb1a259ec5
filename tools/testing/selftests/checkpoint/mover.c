// SPDX-License-Identifier: GPL-2.0
/*
 * A program that is moved to a machine with another CPU:
 * "mover FILE [avx|shadow_stack]". It counts in the file, and makes no call of
 * the C library while it does: that has chosen its code for the CPU that it was
 * started on. With "avx" it has something in the wide registers all the time.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <asm/prctl.h>

#define ROUND	1000000UL

static uint64_t pattern[4] = { 1, 2, 3, 4 }, now[4];

static void spin(void)
{
	unsigned long left = ROUND;

	asm volatile("1: dec %0\n\tjnz 1b" : "+r" (left) : : "cc");
}

static void spin_with_avx(void)
{
	unsigned long left = ROUND;

	asm volatile("vmovups %1, %%ymm5\n"
		     "1: dec %0\n\t"
		     "jnz 1b\n\t"
		     "vmovups %%ymm5, %2"
		     : "+r" (left) : "m" (pattern), "m" (now)
		     : "cc", "memory", "xmm5");
}

/* Without a call, which would not be on the new stack when it returns. */
static __always_inline long use_shadow_stack(void)
{
	long ret;

	asm volatile("syscall"
		     : "=a"(ret)
		     : "a"(SYS_arch_prctl), "D"(ARCH_SHSTK_ENABLE),
		       "S"(ARCH_SHSTK_SHSTK)
		     : "rcx", "r11", "memory");
	return ret;
}

int main(int argc, char **argv)
{
	bool avx = argc > 2 && !strcmp(argv[2], "avx");
	uint64_t *count;
	int fd, i;

	if (argc < 2) {
		fprintf(stderr, "usage: mover FILE [avx|shadow_stack]\n");
		return 2;
	}
	fd = open(argv[1], O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*count))) {
		perror(argv[1]);
		return 1;
	}
	count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED,
		     fd, 0);
	if (count == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	if (argc > 2 && !strcmp(argv[2], "shadow_stack") && use_shadow_stack())
		_exit(1);
	for (;;) {
		if (avx)
			spin_with_avx();
		else
			spin();
		/* One that has lost its registers counts no more. */
		for (i = 0; avx && i < 4; i++)
			if (now[i] != pattern[i])
				_exit(1);
		__atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
	}
}
