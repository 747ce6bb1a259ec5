/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Loads registers from spin_in, spins until spin_look is set, and stores them
 * to spin_out: see registers.c.
 */
#ifdef __x86_64__

.macro spin
9:	cmpl	$0, spin_look(%rip)
	je	9b
.endm

/* \insn, with the n-th register and the n-th word of an area */
.macro integers dir
	.set	n, 0
	.irp	reg, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, \
		     r12, r13, r14, r15
	.ifc	\dir, load
	mov	spin_in + 8 * n(%rip), %\reg
	.else
	mov	%\reg, spin_out + 8 * n(%rip)
	.endif
	.set	n, n + 1
	.endr
.endm

.macro vectors insn, kind, size, dir
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	.ifc	\dir, load
	\insn	spin_in + \size * \n(%rip), %\kind\n
	.else
	\insn	%\kind\n, spin_out + \size * \n(%rip)
	.endif
	.endr
.endm

.macro function name
	.globl	\name
	.type	\name, @function
\name:
.endm

	.text
function spin_integer
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	integers load
	spin
	integers store
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

/* The direction flag: the loop itself does not change it. */
function spin_flags
	pushf
	orq	$0x400, (%rsp)
	popf
	spin
	pushf
	pop	%rax
	cld
	mov	%rax, spin_out(%rip)
	ret

function spin_sse
	vectors	movups, xmm, 16, load
	spin
	vectors	movups, xmm, 16, store
	ret

function spin_avx
	vectors	vmovups, ymm, 32, load
	spin
	vectors	vmovups, ymm, 32, store
	vzeroupper
	ret

/* k0 to k7 stand behind the 32 vectors. */
.macro masks dir
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	.ifc	\dir, load
	kmovq	spin_in + 64 * 32 + 8 * \n(%rip), %k\n
	.else
	kmovq	%k\n, spin_out + 64 * 32 + 8 * \n(%rip)
	.endif
	.endr
.endm

.macro wide dir
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, \
		   16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	.ifc	\dir, load
	vmovups	spin_in + 64 * \n(%rip), %zmm\n
	.else
	vmovups	%zmm\n, spin_out + 64 * \n(%rip)
	.endif
	.endr
.endm

function spin_avx512
	wide load
	masks load
	spin
	wide store
	masks store
	vzeroupper
	ret

function spin_mxcsr
	ldmxcsr	spin_in(%rip)
	spin
	stmxcsr	spin_out(%rip)
	ret

/* Five numbers on the stack, another precision and rounding. */
function spin_x87
	fninit
	fldcw	spin_in(%rip)
	fldpi
	fld1
	fldl2e
	fldln2
	fldz
	spin
	fnsave	spin_out(%rip)
	fninit
	ret

#endif /* __x86_64__ */

	.section .note.GNU-stack, "", @progbits
