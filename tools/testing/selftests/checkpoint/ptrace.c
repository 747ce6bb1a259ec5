// SPDX-License-Identifier: GPL-2.0
/* Tasks that are traced with ptrace() by others of the tree. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "cr.h"

#define EVENT_STOP	(PTRACE_EVENT_STOP << 8)

#ifndef PTRACE_SINGLEBLOCK
#define PTRACE_SINGLEBLOCK	33
#endif

#ifndef TRAP_TRACE
#define TRAP_TRACE	2
#endif

#ifndef TRAP_HWBKPT
#define TRAP_HWBKPT	4
#endif

/* What the traced task tells. */
struct tracee {
	int loops;
	int handled;		/* signals that came to a handler, */
	siginfo_t info;		/* the last of them, */
	greg_t fault[3];	/* and of which exception it tells */
	int result;		/* of a system call */
	int go;
	int tid;
	int tracer;
	int order, done, status;	/* what another tracer is to do */
	union {
		char bytes[8];
		int number;
		long all;
	} watched[4];		/* breakpoints are set there */
	struct cr_task task;
};

static struct tracee *w;
static pid_t pid;

static void handler(int sig, siginfo_t *info, void *context)
{
	w->info = *info;
	cr_set(&w->handled, w->handled + 1);
}

static void handle(int sig)
{
	struct sigaction act = { .sa_sigaction = handler,
				 .sa_flags = SA_SIGINFO };

	NEED(!sigaction(sig, &act, NULL));
}

static void start(void (*fn)(void *))
{
	w = cr_shared(sizeof(*w));
	pid = cr_fork(fn, NULL);
}

/* The status that waitpid() is to give, in the shape of its upper half. */
static void stops(pid_t task, int code)
{
	int status = 0;

	CHECK_EQ(waitpid(task, &status, __WALL), task);
	CHECK_EQ(status >> 8, code);
	CHECK_EQ(status & 0xff, 0x7f);
}

static void nothing_to_wait_for(pid_t task)
{
	CHECK_EQ(waitpid(task, NULL, __WALL | WNOHANG), 0);
}

static void goes_on(int request, pid_t task, int sig)
{
	CHECK_EQ(ptrace(request, task, 0, sig), 0);
}

static siginfo_t siginfo(pid_t task)
{
	siginfo_t info = { };

	CHECK_EQ(ptrace(PTRACE_GETSIGINFO, task, 0, &info), 0);
	return info;
}

static unsigned long message(pid_t task)
{
	unsigned long message = 0;

	CHECK_EQ(ptrace(PTRACE_GETEVENTMSG, task, 0, &message), 0);
	return message;
}

static void loops(void)
{
	int before = cr_get(&w->loops), n;

	for (n = 0; n < 2000 && cr_get(&w->loops) == before; n++)
		cr_msleep(2);
	CHECK(cr_get(&w->loops) != before);
}

static void stands(void)
{
	int before = cr_get(&w->loops);

	cr_msleep(20);
	CHECK_EQ(cr_get(&w->loops), before);
}

static void loop_main(void *arg)
{
	handle(SIGUSR1);
	for (;;) {
		cr_set(&w->loops, cr_get(&w->loops) + 1);
		cr_msleep(1);
	}
}

static void loop_until_go(void)
{
	while (!cr_get(&w->go)) {
		cr_set(&w->loops, cr_get(&w->loops) + 1);
		cr_msleep(1);
	}
}

/* Stops at a signal, over and over. */
static void queue_main(void *arg)
{
	union sigval value = { };

	handle(SIGUSR1);
	handle(SIGUSR2);
	NEED(!ptrace(PTRACE_TRACEME, 0, 0, 0));
	for (;;) {
		value.sival_int++;
		NEED(!sigqueue(getpid(), SIGUSR1, value));
		cr_set(&w->loops, value.sival_int);
	}
}

static void at_signal(void)
{
	siginfo_t info = siginfo(pid);

	CHECK_EQ(info.si_signo, SIGUSR1);
	CHECK_EQ(info.si_code, SI_QUEUE);
	CHECK_EQ(info.si_value.sival_int, cr_get(&w->loops) + 1);
	CHECK_EQ(info.si_pid, pid);
	CHECK_EQ(message(pid), 0);
}

static void signal_setup(void)
{
	start(queue_main);
	stops(pid, SIGUSR1);
}

static void signal_check(enum cr_phase phase)
{
	int before = w->handled;

	nothing_to_wait_for(pid);
	at_signal();
	goes_on(PTRACE_CONT, pid, SIGUSR1);
	stops(pid, SIGUSR1);
	CHECK_EQ(w->handled, before + 1);
	CHECK_EQ(w->info.si_code, SI_QUEUE);
	CHECK_EQ(w->info.si_value.sival_int, w->loops);
	at_signal();
}

static void dropped_check(enum cr_phase phase)
{
	int before = w->handled;

	at_signal();
	goes_on(PTRACE_CONT, pid, 0);
	stops(pid, SIGUSR1);
	CHECK_EQ(w->handled, before);
	at_signal();
}

static void other_check(enum cr_phase phase)
{
	int before = w->handled;

	at_signal();
	goes_on(PTRACE_CONT, pid, SIGUSR2);
	stops(pid, SIGUSR1);
	CHECK_EQ(w->handled, before + 1);
	CHECK_EQ(w->info.si_signo, SIGUSR2);
	CHECK_EQ(w->info.si_code, SI_USER);
	CHECK_EQ(w->info.si_pid, getpid());
}

/* The tracer has changed what is delivered, and another one waits behind it. */
static void change(void)
{
	siginfo_t info = siginfo(pid);

	info.si_value.sival_int = -5;
	CHECK_EQ(ptrace(PTRACE_SETSIGINFO, pid, 0, &info), 0);
	CHECK_EQ(kill(pid, SIGTRAP), 0);
}

static void changed_setup(void)
{
	signal_setup();
	change();
}

static void changed_check(enum cr_phase phase)
{
	int before = w->handled;

	CHECK_EQ(siginfo(pid).si_value.sival_int, -5);
	goes_on(PTRACE_CONT, pid, SIGUSR1);
	stops(pid, SIGTRAP);
	CHECK_EQ(siginfo(pid).si_code, SI_USER);
	CHECK_EQ(siginfo(pid).si_pid, getpid());
	/* The handler is set up, and has not begun. */
	CHECK_EQ(w->handled, before);
	goes_on(PTRACE_CONT, pid, 0);
	stops(pid, SIGUSR1);
	CHECK_EQ(w->handled, before + 1);
	CHECK_EQ(w->info.si_value.sival_int, -5);
	at_signal();
	change();
}

static void await_stop(void)
{
	siginfo_t info = { };

	CHECK_EQ(waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT), 0);
	CHECK_EQ(info.si_pid, pid);
	CHECK_EQ(info.si_code, CLD_TRAPPED);
	CHECK_EQ(info.si_status, SIGUSR1);
}

static void unwaited_setup(void)
{
	start(queue_main);
	await_stop();
}

static void unwaited_check(enum cr_phase phase)
{
	await_stop();
	stops(pid, SIGUSR1);
	at_signal();
	goes_on(PTRACE_CONT, pid, SIGUSR1);
	await_stop();
}

/* The mask is the tracer's as well while a task is stopped. */
static void blocked_check(enum cr_phase phase)
{
	unsigned long mask = 0, usr1 = 1UL << (SIGUSR1 - 1);
	int before = w->handled;

	CHECK_EQ(ptrace(PTRACE_GETSIGMASK, pid, sizeof(mask), &mask), 0);
	CHECK_EQ(mask, phase == CR_BEFORE ? 0 : usr1);
	if (phase == CR_BEFORE) {
		CHECK_EQ(ptrace(PTRACE_SETSIGMASK, pid, sizeof(usr1), &usr1), 0);
		return;
	}
	/* It is blocked when it is to be delivered, and stays pending. */
	mask = 0;
	CHECK_EQ(ptrace(PTRACE_SETSIGMASK, pid, sizeof(mask), &mask), 0);
	goes_on(PTRACE_CONT, pid, SIGUSR1);
	stops(pid, SIGUSR1);
	CHECK_EQ(w->handled, before + 1);
	CHECK_EQ(ptrace(PTRACE_SETSIGMASK, pid, sizeof(usr1), &usr1), 0);
}

static void seize(pid_t task, long options)
{
	NEED(!ptrace(PTRACE_SEIZE, task, 0, options));
}

static void interrupt(pid_t task)
{
	CHECK_EQ(ptrace(PTRACE_INTERRUPT, task, 0, 0), 0);
	stops(task, SIGTRAP | EVENT_STOP);
}

static void running_setup(void)
{
	start(loop_main);
	loops();
	seize(pid, 0);
}

static void running_check(enum cr_phase phase)
{
	int before = w->handled;

	nothing_to_wait_for(pid);
	loops();
	CHECK_EQ(kill(pid, SIGUSR1), 0);
	stops(pid, SIGUSR1);
	CHECK_EQ(siginfo(pid).si_pid, getpid());
	goes_on(PTRACE_CONT, pid, SIGUSR1);
	cr_await(&w->handled, before + 1);
	interrupt(pid);
	goes_on(PTRACE_CONT, pid, 0);
}

static void interrupted_setup(void)
{
	running_setup();
	interrupt(pid);
}

static void interrupted_check(enum cr_phase phase)
{
	siginfo_t info = siginfo(pid);

	nothing_to_wait_for(pid);
	stands();
	CHECK_EQ(info.si_code, SIGTRAP | EVENT_STOP);
	CHECK_EQ(info.si_pid, pid);
	goes_on(PTRACE_CONT, pid, 0);
	loops();
	interrupt(pid);
}

/* Another stop follows the one that the task is in. */
static void again_setup(void)
{
	interrupted_setup();
	NEED(!ptrace(PTRACE_INTERRUPT, pid, 0, 0));
}

static void again_check(enum cr_phase phase)
{
	nothing_to_wait_for(pid);
	stands();
	goes_on(PTRACE_CONT, pid, 0);
	stops(pid, SIGTRAP | EVENT_STOP);
	stands();
	CHECK_EQ(ptrace(PTRACE_INTERRUPT, pid, 0, 0), 0);
}

static void stop_by_signal(void)
{
	CHECK_EQ(kill(pid, SIGSTOP), 0);
	stops(pid, SIGSTOP);
	goes_on(PTRACE_CONT, pid, SIGSTOP);
	stops(pid, SIGSTOP | EVENT_STOP);
}

static void resume_by_signal(void)
{
	CHECK_EQ(kill(pid, SIGCONT), 0);
	stops(pid, SIGTRAP | EVENT_STOP);
	goes_on(PTRACE_CONT, pid, 0);
	stops(pid, SIGCONT);
	goes_on(PTRACE_CONT, pid, SIGCONT);
	loops();
}

static void listen_setup(void)
{
	running_setup();
	stop_by_signal();
	NEED(!ptrace(PTRACE_LISTEN, pid, 0, 0));
}

static void listen_check(enum cr_phase phase)
{
	nothing_to_wait_for(pid);
	stands();
	CHECK_EQ(ptrace(PTRACE_GETEVENTMSG, pid, 0, &w->go), -1);
	CHECK_EQ(errno, ESRCH);
	resume_by_signal();
	stop_by_signal();
	CHECK_EQ(ptrace(PTRACE_LISTEN, pid, 0, 0), 0);
}

static void group_setup(void)
{
	running_setup();
	stop_by_signal();
}

static void group_check(enum cr_phase phase)
{
	nothing_to_wait_for(pid);
	stands();
	CHECK_EQ(siginfo(pid).si_signo, SIGSTOP);
	/* The tracer lets it run, though its process is stopped. */
	goes_on(PTRACE_CONT, pid, 0);
	loops();
	CHECK_EQ(ptrace(PTRACE_INTERRUPT, pid, 0, 0), 0);
	stops(pid, SIGSTOP | EVENT_STOP);
}

static void group_running_setup(void)
{
	group_setup();
	goes_on(PTRACE_CONT, pid, 0);
}

static void group_running_check(enum cr_phase phase)
{
	loops();
	CHECK_EQ(ptrace(PTRACE_INTERRUPT, pid, 0, 0), 0);
	stops(pid, SIGSTOP | EVENT_STOP);
	goes_on(PTRACE_CONT, pid, 0);
	loops();
}

/* Without PTRACE_SEIZE there is no siginfo. */
static void old_group_setup(void)
{
	int status;

	start(loop_main);
	loops();
	NEED(!ptrace(PTRACE_ATTACH, pid, 0, 0));
	NEED(waitpid(pid, &status, 0) == pid);
	goes_on(PTRACE_CONT, pid, SIGSTOP);
	stops(pid, SIGSTOP);
}

static void old_group_check(enum cr_phase phase)
{
	siginfo_t info;

	nothing_to_wait_for(pid);
	stands();
	CHECK_EQ(ptrace(PTRACE_GETSIGINFO, pid, 0, &info), -1);
	CHECK_EQ(errno, EINVAL);
	goes_on(PTRACE_CONT, pid, 0);
	loops();
	CHECK_EQ(kill(pid, SIGCONT), 0);
	stops(pid, SIGCONT);
	goes_on(PTRACE_CONT, pid, 0);
	CHECK_EQ(kill(pid, SIGSTOP), 0);
	stops(pid, SIGSTOP);
	goes_on(PTRACE_CONT, pid, SIGSTOP);
	stops(pid, SIGSTOP);
}

/* System calls */
static void call_main(void *arg)
{
	NEED(!ptrace(PTRACE_TRACEME, 0, 0, 0));
	raise(SIGSTOP);
	for (;;) {
		w->result = syscall(SYS_getpgid, 0);
		cr_set(&w->loops, cr_get(&w->loops) + 1);
	}
}

static struct __ptrace_syscall_info call_info(void)
{
	struct __ptrace_syscall_info info = { };

	CHECK(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) > 0);
	return info;
}

static void next_call_stop(void)
{
	goes_on(PTRACE_SYSCALL, pid, 0);
	stops(pid, SIGTRAP | 0x80);
}

static void at_entry(void)
{
	struct __ptrace_syscall_info info = call_info();

	CHECK_EQ(info.op, PTRACE_SYSCALL_INFO_ENTRY);
	CHECK_EQ(info.entry.nr, SYS_getpgid);
	CHECK_EQ(info.entry.args[0], 0);
}

static void at_exit_of(long value)
{
	struct __ptrace_syscall_info info = call_info();

	CHECK_EQ(info.op, PTRACE_SYSCALL_INFO_EXIT);
	CHECK_EQ(info.exit.rval, value);
}

static void entry_setup(void)
{
	start(call_main);
	stops(pid, SIGSTOP);
	NEED(!ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
	next_call_stop();
	at_entry();
}

static void entry_check(enum cr_phase phase)
{
	int before = w->loops;

	nothing_to_wait_for(pid);
	at_entry();
	next_call_stop();
	at_exit_of(getpgid(0));
	next_call_stop();
	at_entry();
	CHECK_EQ(w->loops, before + 1);
	CHECK_EQ(w->result, getpgid(0));
}

/* The tracer has put no call in its place, or another. */
static void entry_canceled_check(enum cr_phase phase)
{
	struct user_regs_struct regs;

	if (phase != CR_BEFORE) {
		next_call_stop();
		at_exit_of(77);
		next_call_stop();
		CHECK_EQ(w->result, 77);
	}
	at_entry();
	CHECK_EQ(ptrace(PTRACE_GETREGS, pid, 0, &regs), 0);
	regs.orig_rax = -1;
	regs.rax = 77;
	CHECK_EQ(ptrace(PTRACE_SETREGS, pid, 0, &regs), 0);
}

static void entry_replaced_check(enum cr_phase phase)
{
	struct user_regs_struct regs;

	if (phase != CR_BEFORE) {
		next_call_stop();
		at_exit_of(getpid());
		next_call_stop();
		CHECK_EQ(w->result, getpid());
	}
	at_entry();
	CHECK_EQ(ptrace(PTRACE_GETREGS, pid, 0, &regs), 0);
	regs.orig_rax = SYS_getppid;
	CHECK_EQ(ptrace(PTRACE_SETREGS, pid, 0, &regs), 0);
}

static void exit_setup(void)
{
	entry_setup();
	next_call_stop();
}

static void exit_check(enum cr_phase phase)
{
	nothing_to_wait_for(pid);
	at_exit_of(getpgid(0));
	next_call_stop();
	at_entry();
	next_call_stop();
}

/* A tracee that runs, and whose next call is reported */
static void reported_main(void *arg)
{
	cr_set(&w->loops, 1);
	for (;;) {
		while (!cr_get(&w->go))
			;
		cr_set(&w->go, 0);
		w->result = syscall(SYS_getpgid, 0);
		cr_set(&w->loops, cr_get(&w->loops) + 1);
	}
}

static void reported_setup(void)
{
	start(reported_main);
	cr_await(&w->loops, 1);
	seize(pid, PTRACE_O_TRACESYSGOOD);
	interrupt(pid);
	goes_on(PTRACE_SYSCALL, pid, 0);
}

static void reported_check(enum cr_phase phase)
{
	int before = w->loops;

	nothing_to_wait_for(pid);
	cr_set(&w->go, 1);
	stops(pid, SIGTRAP | 0x80);
	at_entry();
	next_call_stop();
	at_exit_of(getpgid(0));
	goes_on(PTRACE_SYSCALL, pid, 0);
	cr_await(&w->loops, before + 1);
}

/* Events */
static void fork_main(void *arg)
{
	pid_t child;

	NEED(!ptrace(PTRACE_TRACEME, 0, 0, 0));
	raise(SIGSTOP);
	for (;;) {
		child = fork();
		if (!child)
			_exit(7);
		w->tid = child;
		w->status = 0;
		waitpid(child, &w->status, 0);
		cr_set(&w->loops, cr_get(&w->loops) + 1);
	}
}

static void at_fork(void)
{
	CHECK_EQ(siginfo(pid).si_code, SIGTRAP | PTRACE_EVENT_FORK << 8);
	CHECK_EQ(siginfo(message(pid)).si_signo, SIGSTOP);
}

static void await_fork(void)
{
	stops(pid, SIGTRAP | PTRACE_EVENT_FORK << 8);
	stops(message(pid), SIGSTOP);
	at_fork();
}

static void fork_setup(void)
{
	start(fork_main);
	stops(pid, SIGSTOP);
	NEED(!ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK));
	goes_on(PTRACE_CONT, pid, 0);
	await_fork();
}

static void fork_check(enum cr_phase phase)
{
	pid_t child = message(pid);
	int status;

	at_fork();
	nothing_to_wait_for(pid);
	goes_on(PTRACE_CONT, child, 0);
	CHECK_EQ(waitpid(child, &status, __WALL), child);
	CHECK_EQ(status, 7 << 8);
	goes_on(PTRACE_CONT, pid, 0);
	/* Its child has ended: the parent is told now. */
	stops(pid, SIGCHLD);
	goes_on(PTRACE_CONT, pid, 0);
	await_fork();
	CHECK_EQ(w->tid, child);
	CHECK_EQ(w->status, 7 << 8);
}

static void exec_again(int n)
{
	char number[16];
	char * const argv[] = { "ptrace", "--again", number, NULL };

	snprintf(number, sizeof(number), "%d", n);
	execv("/proc/self/exe", argv);
	_exit(1);
}

static void exec_main(void *arg)
{
	NEED(!ptrace(PTRACE_TRACEME, 0, 0, 0));
	raise(SIGSTOP);
	exec_again(0);
}

/* What the new program was told, which its stack begins with. */
static int exec_number(void)
{
	struct user_regs_struct regs;
	char number[sizeof(long) + 1] = "";
	long word;

	CHECK_EQ(ptrace(PTRACE_GETREGS, pid, 0, &regs), 0);
	word = ptrace(PTRACE_PEEKDATA, pid, regs.rsp + 3 * sizeof(long), 0);
	word = ptrace(PTRACE_PEEKDATA, pid, word, 0);
	memcpy(number, &word, sizeof(word));
	return atoi(number);
}

static void exec_setup(void)
{
	start(exec_main);
	stops(pid, SIGSTOP);
	NEED(!ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXEC));
	goes_on(PTRACE_CONT, pid, 0);
	stops(pid, SIGTRAP | PTRACE_EVENT_EXEC << 8);
}

static void exec_check(enum cr_phase phase)
{
	int n = exec_number();

	CHECK_EQ(message(pid), pid);
	goes_on(PTRACE_CONT, pid, 0);
	stops(pid, SIGTRAP | PTRACE_EVENT_EXEC << 8);
	CHECK_EQ(exec_number(), n + 1);
}

/* What an exception has left for the handler comes there, by way of the tracer. */
static sigjmp_buf back;

static void fault_handler(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	w->info = *info;
	w->fault[0] = uc->uc_mcontext.gregs[REG_CR2];
	w->fault[1] = uc->uc_mcontext.gregs[REG_ERR];
	w->fault[2] = uc->uc_mcontext.gregs[REG_TRAPNO];
	siglongjmp(back, 1);
}

static void fault_main(void *arg)
{
	struct sigaction act = { .sa_sigaction = fault_handler,
				 .sa_flags = SA_SIGINFO };

	NEED(!sigaction(SIGSEGV, &act, NULL));
	NEED(!ptrace(PTRACE_TRACEME, 0, 0, 0));
	sigsetjmp(back, 1);
	cr_set(&w->loops, cr_get(&w->loops) + 1);
	cr_set((int *)0x123000, 1);
}

static void fault_setup(void)
{
	start(fault_main);
	stops(pid, SIGSEGV);
}

static void fault_check(enum cr_phase phase)
{
	int before = w->loops;

	CHECK_EQ(siginfo(pid).si_addr, 0x123000);
	memset(w->fault, 0, sizeof(w->fault));
	goes_on(PTRACE_CONT, pid, SIGSEGV);
	stops(pid, SIGSEGV);
	CHECK_EQ(w->loops, before + 1);
	CHECK_EQ(w->fault[0], 0x123000);
	CHECK_EQ(w->fault[1], 6);	/* a write by the user, no page */
	CHECK_EQ(w->fault[2], 14);
}

static unsigned long dr6(void)
{
	return ptrace(PTRACE_PEEKUSER, pid,
		      offsetof(struct user, u_debugreg[6]), 0);
}

static void spin_main(void *arg)
{
	for (;;)
		cr_set(&w->loops, cr_get(&w->loops) + 1);
}

static void step(void)
{
	goes_on(PTRACE_SINGLESTEP, pid, 0);
	stops(pid, SIGTRAP);
}

static void step_setup(void)
{
	start(spin_main);
	loops();
	seize(pid, 0);
	interrupt(pid);
	step();
}

static void step_check(enum cr_phase phase)
{
	struct user_regs_struct was, is;

	CHECK_EQ(siginfo(pid).si_code, TRAP_TRACE);
	CHECK_EQ(dr6() & 0x4000, 0x4000);
	CHECK_EQ(ptrace(PTRACE_GETREGS, pid, 0, &was), 0);
	CHECK_EQ(was.eflags & 0x100, 0);
	step();
	CHECK_EQ(ptrace(PTRACE_GETREGS, pid, 0, &is), 0);
	CHECK(is.rip != was.rip);
	CHECK_EQ(siginfo(pid).si_addr, is.rip);
	goes_on(PTRACE_CONT, pid, 0);
	loops();
	interrupt(pid);
	step();
}

/* A tracer that is not the parent, and does what it is told */
enum { INTERRUPT = 1, REAP };

static void trace_main(void *arg)
{
	siginfo_t info;
	int order;

	NEED(!ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_EXITKILL));
	cr_set(&w->go, 1);
	if (arg)
		NEED(!waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	cr_set(&w->go, 2);
	for (;;) {
		while (!(order = cr_get(&w->order)))
			cr_msleep(1);
		cr_set(&w->order, 0);
		if (order == INTERRUPT)
			interrupt(pid);
		else if (waitpid(pid, &w->status, __WALL) != pid)
			w->status = -1;
		if (order == INTERRUPT)
			goes_on(PTRACE_CONT, pid, 0);
		cr_set(&w->done, w->done + 1);
	}
}

static void tell(int order)
{
	int before = w->done;

	cr_set(&w->order, order);
	cr_await(&w->done, before + 1);
}

static void end_tracer(void)
{
	CHECK_EQ(kill(w->tracer, SIGKILL), 0);
	CHECK_EQ(waitpid(w->tracer, NULL, 0), w->tracer);
}

static void sibling_setup(void)
{
	start(loop_main);
	loops();
	w->tracer = cr_fork(trace_main, NULL);
	cr_await(&w->go, 2);
}

/* The option is kept: when the tracer ends, so does the tracee. */
static void sibling_check(enum cr_phase phase)
{
	int status;

	loops();
	tell(INTERRUPT);
	loops();
	end_tracer();
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, SIGKILL);
	sibling_setup();
}

static void wait_and_exit(void *arg)
{
	while (!cr_get(&w->go))
		cr_msleep(1);
	_exit(5);
}

static void zombie_setup(void)
{
	start(wait_and_exit);
	w->tracer = cr_fork(trace_main, w);
	cr_await(&w->go, 2);
}

/* The parent can wait for it when the tracer has. */
static void zombie_check(enum cr_phase phase)
{
	CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
	tell(REAP);
	CHECK_EQ(w->status, 5 << 8);
	cr_reap(pid, 5);
	end_tracer();
	zombie_setup();
}

/* A process that has left the tree is traced from inside. */
static void orphan_main(void *arg)
{
	if (!fork()) {
		w->tid = getpid();
		loop_main(NULL);
	}
}

static void outside_setup(void)
{
	start(orphan_main);
	cr_reap(pid, 0);
	loops();
	seize(w->tid, PTRACE_O_EXITKILL);
}

static void outside_check(enum cr_phase phase)
{
	loops();
	interrupt(w->tid);
	goes_on(PTRACE_CONT, w->tid, 0);
}

static void event(int number)
{
	stops(pid, SIGTRAP | number << 8);
}

/* vfork(): the event, the wait for the child, another event, the return */
static void vfork_main(void *arg)
{
	for (;;) {
		pid_t child;

		loop_until_go();
		cr_set(&w->go, 0);
		child = vfork();
		if (!child)
			_exit(7);
		w->tid = child;
		w->status = 0;
		waitpid(child, &w->status, 0);
	}
}

static pid_t vforked;

static void to_vfork(void)
{
	cr_set(&w->go, 1);
	event(PTRACE_EVENT_VFORK);
	vforked = message(pid);
	stops(vforked, SIGTRAP | EVENT_STOP);
}

static void to_wait(void)
{
	goes_on(PTRACE_SYSCALL, pid, 0);
	cr_msleep(20);
	nothing_to_wait_for(pid);
}

static void to_done(void)
{
	int status;

	goes_on(PTRACE_CONT, vforked, 0);
	CHECK_EQ(waitpid(vforked, &status, __WALL), vforked);
	CHECK_EQ(status, 7 << 8);
	event(PTRACE_EVENT_VFORK_DONE);
}

static void to_return(void)
{
	CHECK_EQ(message(pid), vforked);
	goes_on(PTRACE_SYSCALL, pid, 0);
	stops(pid, SIGTRAP | 0x80);
	at_exit_of(vforked);
	goes_on(PTRACE_CONT, pid, 0);
	stops(pid, SIGCHLD);
	goes_on(PTRACE_CONT, pid, 0);
	loops();
	CHECK_EQ(w->tid, vforked);
	CHECK_EQ(w->status, 7 << 8);
}

static void vfork_setup(void)
{
	start(vfork_main);
	loops();
	seize(pid, PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE |
		   PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	to_vfork();
}

static void vfork_check(enum cr_phase phase)
{
	CHECK_EQ(message(pid), vforked);
	nothing_to_wait_for(pid);
	to_wait();
	to_done();
	to_return();
	to_vfork();
}

static void vfork_waits_setup(void)
{
	vfork_setup();
	to_wait();
}

static void vfork_waits_check(enum cr_phase phase)
{
	nothing_to_wait_for(pid);
	to_done();
	to_return();
	to_vfork();
	to_wait();
}

static void vfork_done_setup(void)
{
	vfork_waits_setup();
	to_done();
}

static void vfork_done_check(enum cr_phase phase)
{
	nothing_to_wait_for(pid);
	to_return();
	to_vfork();
	to_wait();
	to_done();
}

/* The child has ended before its parent comes to wait. */
static void vfork_late_setup(void)
{
	int status;

	vfork_setup();
	goes_on(PTRACE_CONT, vforked, 0);
	CHECK_EQ(waitpid(vforked, &status, __WALL), vforked);
}

static void vfork_late_check(enum cr_phase phase)
{
	int status;

	CHECK_EQ(message(pid), vforked);
	goes_on(PTRACE_SYSCALL, pid, 0);
	event(PTRACE_EVENT_VFORK_DONE);
	to_return();
	to_vfork();
	goes_on(PTRACE_CONT, vforked, 0);
	CHECK_EQ(waitpid(vforked, &status, __WALL), vforked);
}

static void end_main(void *arg)
{
	loop_until_go();
	_exit(3);
}

static void end_setup(void)
{
	start(end_main);
	loops();
	seize(pid, PTRACE_O_TRACEEXIT);
	cr_set(&w->go, 1);
	event(PTRACE_EVENT_EXIT);
}

static void end_check(enum cr_phase phase)
{
	CHECK_EQ(message(pid), 3 << 8);
	nothing_to_wait_for(pid);
}

static void filter_main(void *arg)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | 7),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(filter), filter };

	loop_until_go();
	NEED(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	NEED(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	for (;;) {
		w->result = syscall(SYS_getppid);
		w->order++;
	}
}

/* The next call is reported, once: the last one was made, and gave that. */
static void next_filtered(int request, long result)
{
	int before = w->order;

	goes_on(request, pid, 0);
	if (request == PTRACE_SYSCALL) {
		stops(pid, SIGTRAP | 0x80);
		at_exit_of(result);
		goes_on(PTRACE_CONT, pid, 0);
	}
	event(PTRACE_EVENT_SECCOMP);
	CHECK_EQ(w->order, before + 1);
	CHECK_EQ(w->result, result);
}

static void filter_setup(void)
{
	start(filter_main);
	loops();
	seize(pid, PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD);
	cr_set(&w->go, 1);
	event(PTRACE_EVENT_SECCOMP);
}

static void filter_check(enum cr_phase phase)
{
	CHECK_EQ(message(pid), 7);
	nothing_to_wait_for(pid);
	next_filtered(phase == CR_AGAIN ? PTRACE_SYSCALL : PTRACE_CONT,
		      getpid());
	CHECK_EQ(message(pid), 7);
}

/* The tracer has put no call in its place, or another. */
static void filter_canceled_check(enum cr_phase phase)
{
	struct user_regs_struct regs;

	if (phase != CR_BEFORE)
		next_filtered(PTRACE_CONT, 77);
	CHECK_EQ(ptrace(PTRACE_GETREGS, pid, 0, &regs), 0);
	regs.orig_rax = -1;
	regs.rax = 77;
	CHECK_EQ(ptrace(PTRACE_SETREGS, pid, 0, &regs), 0);
}

static void filter_replaced_check(enum cr_phase phase)
{
	struct user_regs_struct regs;

	if (phase != CR_BEFORE)
		next_filtered(PTRACE_SYSCALL, pid);
	CHECK_EQ(ptrace(PTRACE_GETREGS, pid, 0, &regs), 0);
	regs.orig_rax = SYS_getpid;
	CHECK_EQ(ptrace(PTRACE_SETREGS, pid, 0, &regs), 0);
}

/* It stays in the call, with the next branch before it. */
static void pause_main(void *arg)
{
	cr_here(&w->task);
	for (;;)
		pause();
}

static void block_setup(void)
{
	start(pause_main);
	cr_await_blocked(&w->task, SYS_pause);
	seize(pid, PTRACE_O_EXITKILL);
	interrupt(pid);
	if (ptrace(PTRACE_SINGLEBLOCK, pid, 0, 0))
		cr_skip("no steps from branch to branch");
	cr_await_blocked(&w->task, SYS_pause);
}

static void block_check(enum cr_phase phase)
{
	CHECK_EQ(kill(pid, 0), 0);
}

#define DEBUG_REGISTER(n)	offsetof(struct user, u_debugreg[n])

/* What a breakpoint is about, as DR7 has it */
enum {
	EXECUTES = 0,
	WRITES_1 = 1,
	WRITES_4 = 1 | 3 << 2,
	WRITES_8 = 1 | 2 << 2,
	ACCESSES_8 = 3 | 2 << 2,
};

static long about(int n, long what)
{
	return what << (16 + 4 * n);
}

static long breaks(int n, long what)
{
	return 1L << 2 * n | about(n, what);
}

/* What the breakpoints of the test are about */
static long all_break(void)
{
	return breaks(0, EXECUTES) | breaks(1, WRITES_1) | breaks(2, WRITES_4) |
	       breaks(3, ACCESSES_8);
}

static long debug_register(pid_t task, int n)
{
	return ptrace(PTRACE_PEEKUSER, task, DEBUG_REGISTER(n), 0);
}

static int set_debug_register(pid_t task, int n, long value)
{
	return ptrace(PTRACE_POKEUSER, task, DEBUG_REGISTER(n), value);
}

/* Where a breakpoint can be */
static __attribute_noinline__ void landmark(void)
{
	asm volatile("" : : : "memory");
}

static long address(int n)
{
	switch (n) {
	case 0:
		return (long)landmark;
	case 1:
		/* One byte has no need to be aligned. */
		return (long)&w->watched[1].bytes[1];
	}
	return (long)&w->watched[n];
}

/* Comes to each of these places once a turn. */
static void pass_by(void)
{
	landmark();
	__atomic_store_n(&w->watched[1].bytes[1], 1, __ATOMIC_RELEASE);
	cr_set(&w->watched[2].number, 1);
	(void)__atomic_load_n(&w->watched[3].all, __ATOMIC_ACQUIRE);
	/* A handler may have run. */
	asm volatile("" : : : "memory");
}

static void pass_by_main(void *arg)
{
	for (;;) {
		pass_by();
		cr_set(&w->loops, cr_get(&w->loops) + 1);
		cr_msleep(1);
	}
}

static void at_breakpoint(int n)
{
	struct user_regs_struct regs;

	CHECK_EQ(siginfo(pid).si_code, TRAP_HWBKPT);
	CHECK_EQ(dr6() & 0xf, 1 << n);
	CHECK_EQ(ptrace(PTRACE_GETREGS, pid, 0, &regs), 0);
	if (!n)
		CHECK_EQ(regs.rip, (long)landmark);
}

static void to_breakpoint(int n)
{
	goes_on(PTRACE_CONT, pid, 0);
	stops(pid, SIGTRAP);
	at_breakpoint(n);
}

static void set_breakpoints(void (*fn)(void *), int first, int last, long dr7)
{
	int n;

	start(fn);
	loops();
	seize(pid, 0);
	interrupt(pid);
	for (n = first; n <= last; n++) {
		if (set_debug_register(pid, n, address(n)))
			cr_skip("no hardware breakpoints");
	}
	NEED(!set_debug_register(pid, 7, dr7));
}

static void has_breakpoints(int first, int last, long dr7)
{
	int n;

	for (n = 0; n < 4; n++)
		CHECK_EQ(debug_register(pid, n),
			 n < first || n > last ? 0 : address(n));
	CHECK_EQ(debug_register(pid, 7), dr7);
}

/* It has stopped before the instruction, and goes on with it. */
static void breakpoint_setup(void)
{
	set_breakpoints(pass_by_main, 0, 0, breaks(0, EXECUTES));
	to_breakpoint(0);
}

static void breakpoint_check(enum cr_phase phase)
{
	int before = w->loops;

	nothing_to_wait_for(pid);
	has_breakpoints(0, 0, breaks(0, EXECUTES));
	at_breakpoint(0);
	to_breakpoint(0);
	CHECK_EQ(w->loops, before + 1);
}

/* One for data, of a task that runs and does not come there by itself */
static void watched_main(void *arg)
{
	for (;;) {
		loop_until_go();
		cr_set(&w->go, 0);
		cr_set(&w->watched[2].number, w->watched[2].number + 1);
	}
}

static void watchpoint_setup(void)
{
	set_breakpoints(watched_main, 2, 2, breaks(2, WRITES_4));
	goes_on(PTRACE_CONT, pid, 0);
}

static void watchpoint_check(enum cr_phase phase)
{
	int before = w->watched[2].number;

	nothing_to_wait_for(pid);
	loops();
	cr_set(&w->go, 1);
	stops(pid, SIGTRAP);
	has_breakpoints(2, 2, breaks(2, WRITES_4));
	at_breakpoint(2);
	CHECK_EQ(w->watched[2].number, before + 1);
	goes_on(PTRACE_CONT, pid, 0);
}

static void breakpoints_setup(void)
{
	set_breakpoints(pass_by_main, 0, 3, all_break());
	to_breakpoint(0);
	to_breakpoint(1);
}

static void breakpoints_check(enum cr_phase phase)
{
	nothing_to_wait_for(pid);
	has_breakpoints(0, 3, all_break());
	at_breakpoint(1);
	to_breakpoint(2);
	to_breakpoint(3);
	to_breakpoint(0);
	to_breakpoint(1);
}

/* None is enabled; the last is not there, and the others are of some type. */
#define DISABLED	(0x400 | about(2, WRITES_8) | about(3, WRITES_4))
#define STATUS		0xffff4ff5L

static void disabled_setup(void)
{
	set_breakpoints(pass_by_main, 0, 2, DISABLED);
	NEED(!set_debug_register(pid, 6, STATUS));
}

static void disabled_check(enum cr_phase phase)
{
	nothing_to_wait_for(pid);
	has_breakpoints(0, 2, DISABLED);
	CHECK_EQ(dr6(), STATUS);
	/* There is no place for eight bytes there; for four there is. */
	CHECK_EQ(set_debug_register(pid, 2, address(2) + 4), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(set_debug_register(pid, 7, breaks(2, WRITES_4)), 0);
	CHECK_EQ(set_debug_register(pid, 2, address(2) + 4), 0);
	CHECK_EQ(set_debug_register(pid, 2, address(2)), 0);
	to_breakpoint(2);
	to_breakpoint(2);
	CHECK_EQ(set_debug_register(pid, 7, DISABLED), 0);
	goes_on(PTRACE_CONT, pid, 0);
	loops();
	loops();
	nothing_to_wait_for(pid);
	interrupt(pid);
	CHECK_EQ(set_debug_register(pid, 6, STATUS), 0);
}

/* What is refused leaves breakpoints that DR7 does not tell of. */
static void mistaken_setup(void)
{
	set_breakpoints(pass_by_main, 1, 1, 0);
	CHECK_EQ(set_debug_register(pid, 7, breaks(0, EXECUTES) |
					    breaks(1, WRITES_4)), -1);
	CHECK_EQ(errno, EINVAL);
}

static void mistaken_check(enum cr_phase phase)
{
	has_breakpoints(1, 1, 0);
	CHECK_EQ(set_debug_register(pid, 0, -8L), -1);
	CHECK_EQ(errno, EINVAL);
	goes_on(PTRACE_CONT, pid, 0);
	loops();
	nothing_to_wait_for(pid);
	interrupt(pid);
}

/* Breakpoints stay when the tracer goes: then a handler is told. */
static void set_and_leave(void *arg)
{
	bool fails;
	int n;

	pid = getppid();
	seize(pid, 0);
	interrupt(pid);
	for (n = 0, fails = false; n < 4; n++)
		fails |= set_debug_register(pid, n, address(n));
	fails |= set_debug_register(pid, 7, all_break());
	goes_on(PTRACE_DETACH, pid, 0);
	_exit(fails);
}

static void left_setup(void)
{
	int status;

	w = cr_shared(sizeof(*w));
	handle(SIGTRAP);
	pid = cr_fork(set_and_leave, NULL);
	NEED(waitpid(pid, &status, 0) == pid);
	if (status == 1 << 8)
		cr_skip("no hardware breakpoints");
	NEED(!status);
}

static void left_check(enum cr_phase phase)
{
	int before = w->handled;

	landmark();
	CHECK_EQ(w->handled, before + 1);
	CHECK_EQ(w->info.si_signo, SIGTRAP);
	CHECK_EQ(w->info.si_code, TRAP_HWBKPT);
	CHECK_EQ(w->info.si_addr, (long)landmark);
	pass_by();
	CHECK_EQ(w->handled, before + 5);
}

/* A child has none, but has what was written to DR7. */
static void inherited_setup(void)
{
	start(fork_main);
	stops(pid, SIGSTOP);
	if (set_debug_register(pid, 0, address(0)))
		cr_skip("no hardware breakpoints");
	NEED(!set_debug_register(pid, 7, breaks(0, EXECUTES)));
	NEED(!ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK));
	goes_on(PTRACE_CONT, pid, 0);
	await_fork();
}

static void inherited_check(enum cr_phase phase)
{
	pid_t child = message(pid);
	int n;

	has_breakpoints(0, 0, breaks(0, EXECUTES));
	for (n = 0; n < 4; n++)
		CHECK_EQ(debug_register(child, n), 0);
	CHECK_EQ(debug_register(child, 7), breaks(0, EXECUTES));
	fork_check(phase);
}

/* Somebody else has one of four debug registers when four are needed. */
static void taken_drive(struct cr_run *run)
{
	static long word;
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (long)&word,
		.bp_len = HW_BREAKPOINT_LEN_8,
	};
	int event;
	long ret;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_KILL) ||
	    !cr_none_left(run))
		return;
	event = syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0);
	if (event < 0) {
		cr_skipped(run, "no debug register can be taken");
		return;
	}
	ret = cr_try_restart(run, "image", 0);
	close(event);
	if (ret != -ENOSPC ||
	    !cr_log_has(run, "debug registers of this machine are in use"))
		cr_failed(run, "restart gave %ld", ret);
	(void)(cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN));
}

/* Other events are not forgotten for breakpoints. */
static void measured_main(void *arg)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.exclude_kernel = 1,
	};

	w->result = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	pass_by_main(NULL);
}

static void measured_setup(void)
{
	set_breakpoints(measured_main, 0, 0, breaks(0, EXECUTES));
	if (w->result < 0)
		cr_skip("no perf events");
	to_breakpoint(0);
}

static void suspended_setup(void)
{
	start(loop_main);
	loops();
	if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_SUSPEND_SECCOMP))
		cr_skip("no PTRACE_O_SUSPEND_SECCOMP");
}

/* A thread that is traced while the other one is not */
static void *thread_main(void *arg)
{
	w->tid = gettid();
	loop_main(NULL);
	return NULL;
}

static void threads_main(void *arg)
{
	pthread_t thread;

	NEED(!pthread_create(&thread, NULL, thread_main, NULL));
	for (;;) {
		cr_set(&w->result, cr_get(&w->result) + 1);
		cr_msleep(1);
	}
}

static void thread_setup(void)
{
	start(threads_main);
	loops();
	seize(w->tid, 0);
	interrupt(w->tid);
}

static void thread_check(enum cr_phase phase)
{
	int before = cr_get(&w->result), n;

	stands();
	for (n = 0; n < 2000 && cr_get(&w->result) == before; n++)
		cr_msleep(2);
	CHECK(cr_get(&w->result) != before);
	CHECK_EQ(ptrace(PTRACE_INTERRUPT, pid, 0, 0), -1);
	CHECK_EQ(errno, ESRCH);
	goes_on(PTRACE_CONT, w->tid, 0);
	loops();
	interrupt(w->tid);
}

/* A thread that has ended, and stays for its tracer, who is not told yet */
static void *short_thread(void *arg)
{
	w->tid = gettid();
	while (!cr_get(&w->go))
		cr_msleep(1);
	return NULL;
}

static void ended_main(void *arg)
{
	pthread_t thread;

	NEED(!pthread_create(&thread, NULL, short_thread, NULL));
	for (;;) {
		cr_set(&w->loops, cr_get(&w->loops) + 1);
		cr_msleep(1);
	}
}

static void ended_setup(void)
{
	siginfo_t info;

	start(ended_main);
	loops();
	while (!w->tid)
		cr_msleep(1);
	seize(w->tid, 0);
	cr_set(&w->go, 1);
	NEED(!waitid(P_PID, w->tid, &info, WEXITED | WNOWAIT | __WALL));
}

static void ended_check(enum cr_phase phase)
{
	siginfo_t info = { };

	CHECK_EQ(waitid(P_PID, w->tid, &info, WEXITED | WNOWAIT | __WALL), 0);
	CHECK_EQ(info.si_pid, w->tid);
}

/* The tracer had rights when it attached that nobody has now. */
static void drop_ptrace(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	NEED(!syscall(SYS_capget, &header, data));
	data[0].effective &= ~(1U << CAP_SYS_PTRACE);
	NEED(!syscall(SYS_capset, &header, data));
}

static void without_rights_main(void *arg)
{
	drop_ptrace();
	loop_main(arg);
}

static void rights_setup(void)
{
	start(without_rights_main);
	loops();
	seize(pid, 0);
	drop_ptrace();
}

static void rights_check(enum cr_phase phase)
{
	nothing_to_wait_for(pid);
	loops();
}

/* SIGKILL ends every stop. */
static void killed_check(enum cr_phase phase)
{
	int status;

	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, SIGKILL);
	entry_setup();
}

static const struct cr_scenario scenarios[] = {
	{ "ptrace.signal", CR_TREE, signal_setup, signal_check },
	{ "ptrace.signal_dropped", CR_TREE, signal_setup, dropped_check },
	{ "ptrace.signal_replaced", CR_TREE, signal_setup, other_check },
	{ "ptrace.signal_changed", CR_TREE, changed_setup, changed_check },
	{ "ptrace.signal_unwaited", CR_TREE, unwaited_setup, unwaited_check },
	{ "ptrace.signal_mask", CR_TREE, signal_setup, blocked_check },
	{ "ptrace.running", CR_TREE, running_setup, running_check },
	{ "ptrace.interrupted", CR_TREE, interrupted_setup, interrupted_check },
	{ "ptrace.interrupted_twice", CR_TREE, again_setup, again_check },
	{ "ptrace.listen", CR_TREE, listen_setup, listen_check },
	{ "ptrace.group_stop", CR_TREE, group_setup, group_check },
	{ "ptrace.group_stop_running", CR_TREE, group_running_setup,
	  group_running_check },
	{ "ptrace.group_stop_attached", CR_TREE, old_group_setup,
	  old_group_check },
	{ "ptrace.entry", CR_TREE, entry_setup, entry_check },
	{ "ptrace.entry_replaced", CR_TREE, entry_setup, entry_replaced_check },
	{ "ptrace.entry_canceled", CR_TREE, entry_setup, entry_canceled_check },
	{ "ptrace.entry_killed", CR_TREE, entry_setup, killed_check },
	{ "ptrace.exit", CR_TREE, exit_setup, exit_check },
	{ "ptrace.syscalls", CR_TREE, reported_setup, reported_check },
	{ "ptrace.fork", CR_TREE, fork_setup, fork_check },
	{ "ptrace.vfork", CR_TREE, vfork_setup, vfork_check },
	{ "ptrace.vfork_waits", CR_TREE, vfork_waits_setup, vfork_waits_check },
	{ "ptrace.vfork_done", CR_TREE, vfork_done_setup, vfork_done_check },
	{ "ptrace.vfork_late", CR_TREE, vfork_late_setup, vfork_late_check },
	{ "ptrace.filter", CR_TREE, filter_setup, filter_check },
	{ "ptrace.filter_canceled", CR_TREE, filter_setup,
	  filter_canceled_check },
	{ "ptrace.filter_replaced", CR_TREE, filter_setup,
	  filter_replaced_check },
	{ "ptrace.exec", CR_TREE, exec_setup, exec_check },
	{ "ptrace.fault", CR_TREE, fault_setup, fault_check },
	{ "ptrace.step", CR_TREE, step_setup, step_check },
	{ "ptrace.breakpoint", CR_TREE, breakpoint_setup, breakpoint_check },
	{ "ptrace.breakpoints", CR_TREE, breakpoints_setup, breakpoints_check },
	{ "ptrace.breakpoints_disabled", CR_TREE, disabled_setup,
	  disabled_check },
	{ "ptrace.breakpoints_inherited", CR_TREE, inherited_setup,
	  inherited_check },
	{ "ptrace.breakpoints_left", CR_ANY, left_setup, left_check },
	{ "ptrace.breakpoints_mistaken", CR_TREE, mistaken_setup,
	  mistaken_check },
	{ "ptrace.breakpoints_taken", CR_SUBTREE, breakpoints_setup,
	  breakpoints_check, .drive = taken_drive },
	{ "ptrace.watchpoint", CR_TREE, watchpoint_setup, watchpoint_check },
	{ "ptrace.sibling", CR_TREE, sibling_setup, sibling_check },
	{ "ptrace.zombie", CR_TREE, zombie_setup, zombie_check },
	{ "ptrace.thread", CR_TREE, thread_setup, thread_check },
	{ "ptrace.outside", CR_SUBTREE, outside_setup, outside_check,
	  CR_REFUSED, "that is not in the tree" },
	{ "ptrace.end", CR_TREE, end_setup, end_check,
	  CR_REFUSED, "at an event that is not supported" },
	{ "ptrace.block_step", CR_TREE, block_setup, block_check,
	  CR_REFUSED, "block by block" },
	{ "ptrace.breakpoint_measured", CR_TREE, measured_setup,
	  breakpoint_check, CR_REFUSED, "is measured with perf_event_open(2)" },
	{ "ptrace.thread_ended", CR_TREE, ended_setup, ended_check,
	  CR_REFUSED, "is a thread that has ended" },
	{ "ptrace.rights_lost", CR_TREE, rights_setup, rights_check,
	  CR_REFUSED, "that its tracer does not have" },
	{ "ptrace.suspended_seccomp", CR_TREE, suspended_setup, running_check,
	  CR_REFUSED, "PTRACE_O_SUSPEND_SECCOMP" },
};

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--again"))
		exec_again(atoi(argv[2]) + 1);
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
