// SPDX-License-Identifier: GPL-2.0
/*
 * What of x86 is refused, for what no emulated processor has: the state is set
 * in a task that never runs, where the system calls that are named set it.
 */

#include <kunit/test.h>
#include <linux/mmu_context.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <asm/checkpoint.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xstate.h>

static struct task_struct *make_task(struct kunit *test)
{
	struct task_struct *task = kunit_kzalloc(test, arch_task_struct_size,
						 GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, task);
	task->group_leader = task;
	task->mm = kunit_kzalloc(test, sizeof(*task->mm), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, task->mm);
	return task;
}

static void nothing(struct kunit *test)
{
	KUNIT_EXPECT_NULL(test, arch_checkpoint_refused(make_task(test)));
}

/* As mm_enable_lam() does it. */
static void address_masking(struct kunit *test)
{
#ifdef CONFIG_ADDRESS_MASKING
	struct task_struct *task = make_task(test);

	task->mm->context.lam_cr3_mask = X86_CR3_LAM_U57;
	KUNIT_EXPECT_STREQ(test, arch_checkpoint_refused(task),
			   "uses linear address masking (ARCH_ENABLE_TAGGED_ADDR)");
#else
	kunit_skip(test, "this kernel has no address masking");
#endif
}

/* As __xstate_request_perm() does it, for the leader of the process. */
static void amx(struct kunit *test)
{
	struct task_struct *task = make_task(test);
	struct task_struct *thread = make_task(test);

	thread->group_leader = task;
	x86_task_fpu(task)->perm.__state_perm = XFEATURE_MASK_XTILE_DATA;
	KUNIT_EXPECT_STREQ(test, arch_checkpoint_refused(task),
			   "may use AMX (ARCH_REQ_XCOMP_PERM)");
	KUNIT_EXPECT_STREQ(test, arch_checkpoint_refused(thread),
			   "may use AMX (ARCH_REQ_XCOMP_PERM)");

	x86_task_fpu(task)->perm.__state_perm = XFEATURE_MASK_FPSSE;
	x86_task_fpu(task)->guest_perm.__state_perm = XFEATURE_MASK_XTILE_DATA;
	KUNIT_EXPECT_STREQ(test, arch_checkpoint_refused(task),
			   "may let guests use AMX (ARCH_REQ_XCOMP_GUEST_PERM)");
}

/* As disable_cpuid() does it. */
static void cpuid(struct kunit *test)
{
	struct task_struct *task = make_task(test);

	set_tsk_thread_flag(task, TIF_NOCPUID);
	KUNIT_EXPECT_STREQ(test, arch_checkpoint_refused(task),
			   "may not use CPUID (ARCH_SET_CPUID)");
}

static struct kunit_case cases[] = {
	KUNIT_CASE(nothing),
	KUNIT_CASE(address_masking),
	KUNIT_CASE(amx),
	KUNIT_CASE(cpuid),
	{}
};

static struct kunit_suite suite = {
	.name = "checkpoint_x86",
	.test_cases = cases,
};

kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of what checkpoint refuses on x86");
MODULE_LICENSE("GPL");
