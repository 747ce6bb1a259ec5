// SPDX-License-Identifier: GPL-2.0
/* Signals: handlers, masks, the other stack, and what waits to be delivered. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "cr.h"

/* As the kernel has it: the C library's own calls hide two fields. */
struct kernel_sigaction {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

static void get_action(int sig, struct kernel_sigaction *act)
{
	NEED(!syscall(SYS_rt_sigaction, sig, NULL, act, sizeof(act->mask)));
}

static siginfo_t last;
static int count;
static char *stack_at;

static void handler(int sig, siginfo_t *info, void *context)
{
	char here;

	stack_at = &here;
	last = *info;
	cr_set(&count, count + 1);
}

static void catch(int sig, int flags, const sigset_t *mask)
{
	struct sigaction act = {
		.sa_sigaction = handler,
		.sa_flags = SA_SIGINFO | flags,
	};

	if (mask)
		act.sa_mask = *mask;
	NEED(!sigaction(sig, &act, NULL));
}

static void block(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	NEED(!sigprocmask(SIG_BLOCK, &set, NULL));
}

static struct kernel_sigaction actions[65];

static void handlers_setup(void)
{
	sigset_t mask;
	int sig;

	sigfillset(&mask);
	sigdelset(&mask, SIGTERM);
	catch(SIGUSR1, SA_RESTART, &mask);
	catch(SIGUSR2, SA_NODEFER | SA_RESETHAND, NULL);
	catch(SIGRTMIN + 3, SA_ONSTACK, NULL);
	catch(SIGCHLD, SA_NOCLDSTOP, NULL);
	catch(SIGRTMAX, 0, &mask);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	for (sig = 1; sig <= 64; sig++)
		get_action(sig, &actions[sig]);
}

static void handlers_check(enum cr_phase phase)
{
	struct kernel_sigaction act;
	int sig;

	for (sig = 1; sig <= 64; sig++) {
		get_action(sig, &act);
		CHECK_EQ((uintptr_t)act.handler,
			 (uintptr_t)actions[sig].handler);
		CHECK_EQ(act.flags, actions[sig].flags);
		CHECK_EQ((uintptr_t)act.restorer,
			 (uintptr_t)actions[sig].restorer);
		CHECK_EQ(act.mask, actions[sig].mask);
	}
	cr_set(&count, 0);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(raise(SIGHUP), 0);
	CHECK_EQ(count, 1);
	CHECK_EQ(last.si_signo, SIGUSR1);
}

/* Children of one who ignores SIGCHLD leave no zombie. */
static void autoreap_setup(void)
{
	signal(SIGCHLD, SIG_IGN);
}

static void empty_child(void *arg)
{
}

static void autoreap_check(enum cr_phase phase)
{
	pid_t pid = cr_fork(empty_child, NULL);

	CHECK_EQ(waitpid(pid, NULL, 0), -1);
	CHECK_EQ(errno, ECHILD);
}

/* Each thread has a mask of its own. */
struct masked {
	int turn;
	uint64_t mask;
};

static struct masked masked[2];

static uint64_t get_mask(void)
{
	uint64_t mask = 0;

	NEED(!syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask,
		      sizeof(mask)));
	return mask;
}

#define MASK_0	(1ULL << (SIGUSR1 - 1) | 1ULL << 63)
#define MASK_1	(1ULL << (SIGTERM - 1) | 1ULL << 40)

static void *mask_thread(void *arg)
{
	struct masked *me = arg;

	NEED(!syscall(SYS_rt_sigprocmask, SIG_SETMASK, &me->mask, NULL, 8));
	for (;;) {
		if (cr_get(&me->turn) == 1) {
			me->mask = get_mask();
			cr_set(&me->turn, 2);
		}
		cr_msleep(2);
	}
	return NULL;
}

static uint64_t main_mask;

static void masks_setup(void)
{
	pthread_t thread;
	size_t i;

	block(SIGALRM);
	block(SIGRTMIN + 7);
	main_mask = get_mask();
	masked[0].mask = MASK_0;
	masked[1].mask = MASK_1;
	for (i = 0; i < 2; i++)
		NEED(!pthread_create(&thread, NULL, mask_thread, &masked[i]));
	cr_msleep(20);
}

static void masks_check(enum cr_phase phase)
{
	size_t i;

	CHECK_EQ(get_mask(), main_mask);
	for (i = 0; i < 2; i++) {
		masked[i].mask = 0;
		cr_set(&masked[i].turn, 1);
		cr_await(&masked[i].turn, 2);
		CHECK_EQ(masked[i].mask, i ? MASK_1 : MASK_0);
	}
}

/* A stack for handlers, of the main thread. */
static char *alt;
#define ALT_SIZE	65536

static void altstack_setup(void)
{
	stack_t ss = { .ss_size = ALT_SIZE };

	alt = mmap(NULL, ALT_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(alt != MAP_FAILED);
	ss.ss_sp = alt;
	NEED(!sigaltstack(&ss, NULL));
	catch(SIGUSR1, SA_ONSTACK, NULL);
	catch(SIGUSR2, 0, NULL);
}

static void altstack_check(enum cr_phase phase)
{
	stack_t ss = { };

	CHECK_EQ(sigaltstack(NULL, &ss), 0);
	CHECK_EQ((uintptr_t)ss.ss_sp, (uintptr_t)alt);
	CHECK_EQ(ss.ss_size, ALT_SIZE);
	CHECK_EQ(ss.ss_flags, 0);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK(stack_at > alt && stack_at < alt + ALT_SIZE);
	CHECK_EQ(raise(SIGUSR2), 0);
	CHECK(stack_at < alt || stack_at > alt + ALT_SIZE);
}

/* A stack that is given up while a handler runs on it, and is back then */
#ifndef SS_AUTODISARM
#define SS_AUTODISARM	0x80000000
#endif

static int flags_inside;

static void look_at_altstack(int sig, siginfo_t *info, void *context)
{
	stack_t ss = { };

	NEED(!sigaltstack(NULL, &ss));
	flags_inside = ss.ss_flags;
}

static void autodisarm_setup(void)
{
	/* The short frame of 32-bit programs has no room for the stack. */
	struct sigaction act = { .sa_sigaction = look_at_altstack,
				 .sa_flags = SA_ONSTACK | SA_SIGINFO };
	stack_t ss = { .ss_size = ALT_SIZE, .ss_flags = SS_AUTODISARM };

	alt = mmap(NULL, ALT_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(alt != MAP_FAILED);
	ss.ss_sp = alt;
	NEED(!sigaltstack(&ss, NULL));
	NEED(!sigaction(SIGUSR1, &act, NULL));
}

static void autodisarm_check(enum cr_phase phase)
{
	stack_t ss = { };

	CHECK_EQ(sigaltstack(NULL, &ss), 0);
	CHECK_EQ((uintptr_t)ss.ss_sp, (uintptr_t)alt);
	CHECK_EQ((unsigned int)ss.ss_flags, SS_AUTODISARM);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(flags_inside, SS_DISABLE);
	CHECK_EQ(sigaltstack(NULL, &ss), 0);
	CHECK_EQ((unsigned int)ss.ss_flags, SS_AUTODISARM);
}

/*
 * A thread is in its handler, on the other stack, when the checkpoint comes,
 * and goes back from there to what it did.
 */
static struct inside {
	int at, leave, back;
	unsigned long mask_inside, mask_outside;
	char *stack;
	pid_t tid;
} inside;

static void stay_inside(int sig)
{
	char here;

	inside.stack = &here;
	cr_set(&inside.at, 1);
	while (!cr_get(&inside.leave))
		cr_msleep(2);
	inside.mask_inside = get_mask();
}

static void *inside_thread(void *arg)
{
	stack_t ss = { .ss_sp = alt, .ss_size = ALT_SIZE };

	NEED(!sigaltstack(&ss, NULL));
	for (;;) {
		NEED(!syscall(SYS_tgkill, getpid(), syscall(SYS_gettid),
			      SIGUSR1));
		inside.mask_outside = get_mask();
		cr_set(&inside.at, 0);
		cr_set(&inside.leave, 0);
		cr_set(&inside.back, inside.back + 1);
	}
	return NULL;
}

static void in_handler_setup(void)
{
	struct sigaction act = {
		.sa_handler = stay_inside,
		.sa_flags = SA_ONSTACK,
	};
	pthread_t thread;

	alt = mmap(NULL, ALT_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(alt != MAP_FAILED);
	sigemptyset(&act.sa_mask);
	sigaddset(&act.sa_mask, SIGTERM);
	NEED(!sigaction(SIGUSR1, &act, NULL));
	NEED(!pthread_create(&thread, NULL, inside_thread, NULL));
	cr_await(&inside.at, 1);
}

static void in_handler_check(enum cr_phase phase)
{
	int back = cr_get(&inside.back);

	CHECK(inside.stack > alt && inside.stack < alt + ALT_SIZE);
	cr_set(&inside.leave, 1);
	cr_await(&inside.back, back + 1);
	CHECK_EQ(inside.mask_inside,
		 1UL << (SIGTERM - 1) | 1UL << (SIGUSR1 - 1));
	CHECK_EQ(inside.mask_outside, 0);
	cr_await(&inside.at, 1);
}

/*
 * Takes what is pending, without waiting; not through the C library, which
 * changes the code of what tgkill() sent.
 */
static int take(int sig, siginfo_t *info)
{
	uint64_t set = 1ULL << (sig - 1);
	struct timespec now = { };

	memset(info, 0, sizeof(*info));
	return syscall(SYS_rt_sigtimedwait, &set, info, &now, sizeof(set));
}

static void pending_setup(void)
{
	block(SIGUSR1);
	block(SIGTERM);
	NEED(!kill(getpid(), SIGUSR1));
}

static void pending_check(enum cr_phase phase)
{
	siginfo_t info;
	sigset_t set;
	int sig;

	NEED(!sigpending(&set));
	for (sig = 1; sig <= SIGRTMAX; sig++)
		if (sig < 32 || sig >= SIGRTMIN)
			CHECK_EQ(sigismember(&set, sig), sig == SIGUSR1);
	CHECK_EQ(take(SIGUSR1, &info), SIGUSR1);
	CHECK_EQ(info.si_code, SI_USER);
	CHECK_EQ(info.si_pid, getpid());
	CHECK_EQ(info.si_uid, 0);
	/* A standard signal is pending once, however often it is sent. */
	CHECK_EQ(take(SIGUSR1, &info), -1);
	NEED(!kill(getpid(), SIGUSR1));
	NEED(!kill(getpid(), SIGUSR1));
}

#define QUEUED	20

static void queue_all(void)
{
	union sigval value;
	int i;

	for (i = 0; i < QUEUED; i++) {
		value.sival_ptr = (void *)(uintptr_t)(0x123456789000ULL + i);
		NEED(!sigqueue(getpid(), SIGRTMIN + 2, value));
	}
	value.sival_int = -5;
	NEED(!sigqueue(getpid(), SIGRTMIN + 1, value));
}

/* One that debuggers and tracers make use of. */
static void trap_setup(void)
{
	block(SIGTRAP);
	NEED(!kill(getpid(), SIGTRAP));
}

static void trap_check(enum cr_phase phase)
{
	siginfo_t info;

	CHECK_EQ(take(SIGTRAP, &info), SIGTRAP);
	CHECK_EQ(info.si_code, SI_USER);
	CHECK_EQ(info.si_pid, getpid());
	CHECK_EQ(take(SIGTRAP, &info), -1);
	NEED(!kill(getpid(), SIGTRAP));
}

static void queued_setup(void)
{
	block(SIGRTMIN + 1);
	block(SIGRTMIN + 2);
	queue_all();
}

static void queued_check(enum cr_phase phase)
{
	siginfo_t info;
	int i;

	CHECK_EQ(take(SIGRTMIN + 1, &info), SIGRTMIN + 1);
	CHECK_EQ(info.si_int, -5);
	for (i = 0; i < QUEUED; i++) {
		CHECK_EQ(take(SIGRTMIN + 2, &info), SIGRTMIN + 2);
		CHECK_EQ(info.si_code, SI_QUEUE);
		CHECK_EQ(info.si_pid, getpid());
		CHECK_EQ((uintptr_t)info.si_ptr,
			 (uintptr_t)(0x123456789000ULL + i));
	}
	CHECK_EQ(take(SIGRTMIN + 2, &info), -1);
	queue_all();
}

/* All that a sender may make up comes back bit by bit. */
static siginfo_t made_up;

static void made_up_setup(void)
{
	block(SIGRTMIN + 4);
	cr_pattern(&made_up, sizeof(made_up), 5);
	made_up.si_signo = SIGRTMIN + 4;
	made_up.si_errno = 99;
	made_up.si_code = -60;
	NEED(!syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN + 4, &made_up));
}

static void made_up_check(enum cr_phase phase)
{
	siginfo_t info;

	CHECK_EQ(take(SIGRTMIN + 4, &info), SIGRTMIN + 4);
	/* The kernel keeps the part that has a meaning in some layout. */
	CHECK_MEM(&info, &made_up, sizeof(long) == 8 ? 48 : 24);
	NEED(!syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN + 4, &made_up));
}

/* What one thread has pending, another one has not. */
static struct private_pending {
	int turn;
	pid_t tid;
	int got, own, again;
} private_pending;

static void *pending_thread(void *arg)
{
	siginfo_t info;

	private_pending.tid = syscall(SYS_gettid);
	cr_set(&private_pending.turn, 2);
	for (;;) {
		if (cr_get(&private_pending.turn) == 1) {
			private_pending.got = take(SIGUSR2, &info);
			private_pending.own = info.si_code;
			private_pending.again = take(SIGUSR2, &info);
			cr_set(&private_pending.turn, 2);
		}
		cr_msleep(2);
	}
	return NULL;
}

static void send_to_thread(void)
{
	NEED(!syscall(SYS_tgkill, getpid(), private_pending.tid, SIGUSR2));
}

static void thread_pending_setup(void)
{
	pthread_t thread;

	block(SIGUSR2);
	NEED(!pthread_create(&thread, NULL, pending_thread, NULL));
	cr_await(&private_pending.turn, 2);
	send_to_thread();
}

static void thread_pending_check(enum cr_phase phase)
{
	siginfo_t info;

	CHECK_EQ(take(SIGUSR2, &info), -1);
	cr_set(&private_pending.turn, 1);
	cr_await(&private_pending.turn, 2);
	CHECK_EQ(private_pending.got, SIGUSR2);
	CHECK_EQ(private_pending.own, SI_TKILL);
	CHECK_EQ(private_pending.again, -1);
	send_to_thread();
}

/* A pending signal reaches its handler once it is no longer blocked. */
static void unblock_setup(void)
{
	catch(SIGRTMIN, 0, NULL);
	block(SIGRTMIN);
	NEED(!sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 7 }));
	NEED(!sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 8 }));
}

static void unblock_check(enum cr_phase phase)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	cr_set(&count, 0);
	NEED(!sigprocmask(SIG_UNBLOCK, &set, NULL));
	CHECK_EQ(count, 2);
	CHECK_EQ(last.si_int, 8);
	unblock_setup();
}

/* A child that is stopped stays so, until somebody lets it go on. */
static struct cr_task *stopped_task;
static int *stopped_count;
static pid_t stopped;

static void counting_child(void *arg)
{
	cr_here(stopped_task);
	for (;;) {
		cr_set(stopped_count, cr_get(stopped_count) + 1);
		cr_msleep(1);
	}
}

static void stop_child(void)
{
	siginfo_t info;

	NEED(!kill(stopped, SIGSTOP));
	NEED(!waitid(P_PID, stopped, &info, WSTOPPED));
}

static void stopped_setup(void)
{
	stopped_task = cr_shared(sizeof(*stopped_task));
	stopped_count = cr_shared(sizeof(*stopped_count));
	stopped = cr_fork(counting_child, NULL);
	while (cr_get(stopped_count) < 2)
		cr_msleep(2);
	stop_child();
}

static void stopped_check(enum cr_phase phase)
{
	int n = cr_get(stopped_count);
	siginfo_t info = { };
	int i;

	cr_msleep(50);
	CHECK_EQ(cr_get(stopped_count), n);
	CHECK_EQ(kill(stopped, SIGCONT), 0);
	CHECK_EQ(waitid(P_PID, stopped, &info, WCONTINUED), 0);
	CHECK_EQ(info.si_code, CLD_CONTINUED);
	for (i = 0; i < 1000 && cr_get(stopped_count) == n; i++)
		cr_msleep(2);
	CHECK(cr_get(stopped_count) > n);
	stop_child();
}

static const struct cr_scenario scenarios[] = {
	{ "signal.handlers", CR_ANY, handlers_setup, handlers_check },
	{ "signal.autoreap", CR_ANY, autoreap_setup, autoreap_check },
	{ "signal.masks", CR_TREE, masks_setup, masks_check },
	{ "signal.altstack", CR_ANY, altstack_setup, altstack_check },
	{ "signal.altstack_disarmed", CR_ANY, autodisarm_setup,
	  autodisarm_check },
	{ "signal.in_handler", CR_TREE, in_handler_setup, in_handler_check },
	{ "signal.pending", CR_ANY, pending_setup, pending_check },
	{ "signal.pending_trap", CR_ANY, trap_setup, trap_check },
	{ "signal.queued", CR_ANY, queued_setup, queued_check },
	{ "signal.siginfo", CR_ANY, made_up_setup, made_up_check },
	{ "signal.pending_of_thread", CR_TREE, thread_pending_setup,
	  thread_pending_check },
	{ "signal.unblocked_later", CR_ANY, unblock_setup, unblock_check },
	{ "signal.stopped_child", CR_TREE, stopped_setup, stopped_check },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
