// SPDX-License-Identifier: GPL-2.0
/*
 * Images that are not what a checkpoint has written. A restart from one gives
 * a clean error, or tasks that can be killed; it leaves nothing behind, and it
 * comes to an end.
 *
 * The layout that is needed here is that of kernel/checkpoint/format: a header
 * with the CRC of itself and of the metadata, the metadata as records, page
 * data, a trailer.
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/filter.h>
#include <linux/mempolicy.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <linux/ioprio.h>
#ifdef __x86_64__
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <sys/io.h>
#include <sys/user.h>
#endif

#include "cr.h"

/* How long one test goes on with new variants. */
#define BUDGET_NS	(100 * 1000000000ULL)

struct header {
	char magic[8];
	uint32_t byte_order;
	uint32_t format;
	uint32_t header_crc;
	uint32_t meta_crc;
	uint64_t meta_len;
	unsigned char rest[160];
};

struct record {
	uint16_t kind;
	uint16_t version;
	uint32_t len;
	uint32_t object;
	uint32_t reserved;
};

static unsigned char *image, *meta;
static size_t image_len, meta_len;
static int fd;
static unsigned int tried, failed, ran;
static bool late;

static void alone_setup(void)
{
}

static void alone_check(enum cr_phase phase)
{
	CHECK_EQ(getpid(), getsid(0));
}

#ifndef MFD_HUGETLB
#define MFD_HUGETLB	0x0004U
#endif

/* Timers in all states that they can be in. */
static void timers_setup(void)
{
	static const clockid_t clocks[] = {
		CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID,
		CLOCK_THREAD_CPUTIME_ID,
	};
	struct sigevent event = { .sigev_signo = SIGURG };
	struct itimerspec soon = { { 1000, 0 }, { 0, 1 } };
	struct itimerspec late = { { 0, 0 }, { 1000, 0 } };
	size_t i, j;
	timer_t timer;

	for (i = 0; i < ARRAY_SIZE(clocks); i++) {
		for (j = 0; j < 3; j++) {
			event.sigev_notify = j == 2 ? SIGEV_NONE : SIGEV_SIGNAL;
			NEED(!timer_create(clocks[i], &event, &timer));
			NEED(!timer_settime(timer, 0, j ? &late : &soon, NULL));
		}
	}
	cr_msleep(10);
}

/* Every record that SysV objects have */
static int queue;

static void sysv_setup(void)
{
	static const struct { long type; char text[24]; } message = { 7, "text" };
	struct sembuf up = { .sem_num = 1, .sem_op = 3, .sem_flg = SEM_UNDO };
	int segment = shmget(0x5ca1ab1e, 4096, IPC_CREAT | 0600);
	int set = semget(0x5ca1ab1e, 2, IPC_CREAT | 0600);
	char *at;

	queue = msgget(0x5ca1ab1e, IPC_CREAT | 0600);
	if (segment < 0 || set < 0 || queue < 0)
		cr_skip("no SysV objects");
	at = shmat(segment, NULL, 0);
	NEED(at != (void *)-1);
	strcpy(at, "text");
	NEED(!semop(set, &up, 1));
	NEED(!msgsnd(queue, &message, sizeof(message.text), 0));
}

static void sysv_check(enum cr_phase phase)
{
	CHECK_EQ(msgget(0x5ca1ab1e, 0), queue);
}

/* One that has stopped at a signal, one in vfork(2), and one that runs. */
static pid_t traced, vforking, seized;

static void be_traced(void *arg)
{
	NEED(!ptrace(PTRACE_TRACEME, 0, 0, 0));
	raise(SIGUSR1);
}

static void be_seized(void *arg)
{
	for (;;)
		pause();
}

static void be_vforking(void *arg)
{
	NEED(!ptrace(PTRACE_TRACEME, 0, 0, 0));
	raise(SIGSTOP);
	if (!vfork())
		_exit(0);
	be_seized(NULL);
}

static void traced_setup(void)
{
	int status;

	vforking = cr_fork(be_vforking, NULL);
	NEED(waitpid(vforking, &status, 0) == vforking && WIFSTOPPED(status));
	NEED(!ptrace(PTRACE_SETOPTIONS, vforking, 0, PTRACE_O_TRACEVFORK));
	NEED(!ptrace(PTRACE_CONT, vforking, 0, 0));
	NEED(waitpid(vforking, &status, 0) == vforking &&
	     status >> 16 == PTRACE_EVENT_VFORK);

	traced = cr_fork(be_traced, NULL);
	NEED(waitpid(traced, &status, 0) == traced && WIFSTOPPED(status));
	seized = cr_fork(be_seized, NULL);
	NEED(!ptrace(PTRACE_SEIZE, seized, 0, PTRACE_O_TRACESYSGOOD));
}

static void traced_check(enum cr_phase phase)
{
	siginfo_t info = {};
	int status;

	CHECK_EQ(ptrace(PTRACE_GETSIGINFO, traced, 0, &info), 0);
	CHECK_EQ(info.si_signo, SIGUSR1);
	CHECK_EQ(ptrace(PTRACE_INTERRUPT, seized, 0, 0), 0);
	CHECK_EQ(waitpid(seized, &status, 0), seized);
	CHECK_EQ(ptrace(PTRACE_CONT, seized, 0, 0), 0);
}

/* One of another login than the root. */
static void be_logged_in(void *arg)
{
	int fd = open("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);

	NEED(write(fd, "1000", 4) == 4);
	close(fd);
	cr_set(arg, 1);
	for (;;)
		pause();
}

static void login_setup(void)
{
	int *done = cr_shared(sizeof(*done));

	if (access("/proc/self/loginuid", F_OK))
		cr_skip("the kernel keeps no account of logins");
	cr_fork(be_logged_in, done);
	cr_await(done, 1);
}

/* One that is in another cgroup than the root. */
static void be_elsewhere(void *arg)
{
	int fd = open("/sys/fs/cgroup/cr.hostile/cgroup.procs",
		      O_WRONLY | O_CLOEXEC);

	NEED(write(fd, "0", 1) == 1);
	close(fd);
	cr_set(arg, 1);
	for (;;)
		pause();
}

static void cgroup_setup(void)
{
	int *done = cr_shared(sizeof(*done));

	if (mkdir("/sys/fs/cgroup/cr.hostile", 0755) && errno != EEXIST)
		cr_skip("no cgroups of version 2 in /sys/fs/cgroup");
	cr_fork(be_elsewhere, done);
	cr_await(done, 1);
}

/* One in two pid namespaces, and one that has made one for its children. */
static void stay(void *arg)
{
	for (;;)
		pause();
}

static void nest(void *arg)
{
	pid_t pid;

	NEED(!unshare(CLONE_NEWUTS));
	pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	NEED(pid >= 0);
	if (!pid)
		stay(NULL);
	NEED(!unshare(CLONE_NEWPID));
	cr_fork(stay, NULL);
	cr_set(arg, 1);
	stay(NULL);
}

/* A context of asynchronous I/O with an event. */
static void aio_setup(void)
{
	struct iocb cb = { .aio_lio_opcode = IOCB_CMD_FSYNC };
	struct iocb *cbs = &cb;
	aio_context_t context = 0;
	struct io_event event;

	if (syscall(SYS_io_setup, 200, &context))
		cr_skip("no asynchronous I/O");
	cb.aio_fildes = open(cr_path("file"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	NEED(cb.aio_fildes >= 0);
	NEED(syscall(SYS_io_submit, context, 1, &cbs) == 1);
	NEED(syscall(SYS_io_getevents, context, 1, 1, &event, NULL) == 1);
}

static void nested_setup(void)
{
	int *done = cr_shared(sizeof(*done));
	pid_t pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);

	if (pid < 0)
		cr_skip("no pid namespaces");
	if (!pid)
		nest(done);
	cr_await(done, 1);
}

/* The same in a user namespace, and one in another that is in that. */
static void enter_user_ns(const char *uids, const char *gids)
{
	NEED(!unshare(CLONE_NEWUSER));
	cr_write_file("/proc/self/setgroups", "deny", 4);
	cr_write_file("/proc/self/uid_map", uids, strlen(uids));
	cr_write_file("/proc/self/gid_map", gids, strlen(gids));
}

static void enter_again(void *arg)
{
	enter_user_ns("7 5 1", "8 6 1");
	nest(arg);
}

static void enter(void *arg)
{
	int *done = arg;

	enter_user_ns("5 0 1", "6 0 1");
	cr_fork(enter_again, done + 1);
	nest(done);
}

static void users_setup(void)
{
	int *done = cr_shared(4096);

	cr_fork(enter, done);
	cr_await(done, 1);
	cr_await(done + 1, 1);
}

#ifdef __x86_64__
/* Ports that it may use, and a table of segments. */
static void ports_setup(void)
{
	if (ioperm(0x80, 1, 1) || ioperm(0x3f8, 8, 1))
		cr_skip("no ports of the machine can be used");
}

static void segments_setup(void)
{
	struct user_desc desc = { .base_addr = 0x1000, .limit = 0xfff };

	for (desc.entry_number = 0; desc.entry_number < 4; desc.entry_number++)
		NEED(!syscall(SYS_modify_ldt, 0x11, &desc, sizeof(desc)));
}

/* Breakpoints, three of which are enabled: for code, and 4 and 8 bytes. */
#define DEBUG_REGISTER(n)	offsetof(struct user, u_debugreg[n])
#define BREAKPOINTS		0x1bd00015L

static void breakpoints_setup(void)
{
	long page = sysconf(_SC_PAGESIZE);
	int n, status;

	traced = cr_fork(be_seized, NULL);
	NEED(!ptrace(PTRACE_SEIZE, traced, 0, 0));
	NEED(!ptrace(PTRACE_INTERRUPT, traced, 0, 0));
	NEED(waitpid(traced, &status, 0) == traced && WIFSTOPPED(status));
	for (n = 0; n < 4; n++) {
		if (ptrace(PTRACE_POKEUSER, traced, DEBUG_REGISTER(n),
			   page * (n + 1)))
			cr_skip("no hardware breakpoints");
	}
	NEED(!ptrace(PTRACE_POKEUSER, traced, DEBUG_REGISTER(7), BREAKPOINTS));
}

static void breakpoints_check(enum cr_phase phase)
{
	long page = sysconf(_SC_PAGESIZE);
	int n;

	for (n = 0; n < 4; n++)
		CHECK_EQ(ptrace(PTRACE_PEEKUSER, traced, DEBUG_REGISTER(n), 0),
			 page * (n + 1));
	CHECK_EQ(ptrace(PTRACE_PEEKUSER, traced, DEBUG_REGISTER(7), 0),
		 BREAKPOINTS);
}
#endif

/* A task that never will have a shadow stack. */
#ifdef __x86_64__
static void locked_setup(void)
{
	if (syscall(SYS_arch_prctl, ARCH_SHSTK_LOCK, ARCH_SHSTK_SHSTK))
		cr_skip("this kernel knows no shadow stacks");
}
#endif

/* One of everything that descriptors can refer to. */
static void files_setup(void)
{
	struct itimerspec late = { { 0, 0 }, { 1000, 0 } };
	struct epoll_event event = { .events = EPOLLIN };
	int pipefd[2], sets, counter, timer, memory, deleted, master;
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
	sigset_t mask;

	NEED(!pipe(pipefd) && write(pipefd[1], "text", 4) == 4);
	NEED(!mkfifo(cr_path("fifo"), 0600));
	NEED(open(cr_path("fifo"), O_RDWR) >= 0);
	counter = eventfd(3, 0);
	sets = epoll_create1(0);
	NEED(counter >= 0 && sets >= 0);
	NEED(!epoll_ctl(sets, EPOLL_CTL_ADD, counter, &event));
	NEED(!epoll_ctl(sets, EPOLL_CTL_ADD, pipefd[0], &event));
	timer = timerfd_create(CLOCK_MONOTONIC, 0);
	NEED(timer >= 0 && !timerfd_settime(timer, 0, &late, NULL));
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	NEED(signalfd(-1, &mask, 0) >= 0);
	NEED(syscall(SYS_pidfd_open, cr_fork(stay, NULL), 0) >= 0);
	memory = memfd_create("memory", MFD_ALLOW_SEALING);
	NEED(memory >= 0 && !ftruncate(memory, 10000));
	NEED(pwrite(memory, "text", 4, 5000) == 4);
	cr_write_file(cr_path("deleted"), "text", 4);
	deleted = open(cr_path("deleted"), O_RDWR);
	NEED(deleted >= 0 && !unlink(cr_path("deleted")));
	NEED(!flock(open(cr_path("locked"), O_RDWR | O_CREAT, 0600), LOCK_EX));
	counter = socket(AF_INET6, SOCK_STREAM, 0);
	if (counter >= 0) {
		NEED(!bind(counter, (struct sockaddr *)&any, sizeof(any)));
		NEED(!listen(counter, 5));
	}
	master = posix_openpt(O_RDWR | O_NOCTTY);
	if (master >= 0) {
		NEED(!grantpt(master) && !unlockpt(master));
		NEED(open(ptsname(master), O_RDWR | O_NOCTTY) >= 0);
		NEED(write(master, "text\n", 5) == 5);
	}
}

/* What else tasks are, and have. */
static void nap(void *arg)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(insns), insns };
	struct timespec long_time = { .tv_sec = 10000 };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
	cr_set(arg, 1);
	syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &long_time, NULL);
}

static void state_setup(void)
{
	struct itimerval often = { { 1000, 0 }, { 1000, 0 } };
	size_t page = sysconf(_SC_PAGESIZE);
	int *done = cr_shared(sizeof(*done));
	sigset_t mask;
	char *mem;
	int i;

	sigemptyset(&mask);
	sigaddset(&mask, SIGRTMIN);
	NEED(!sigprocmask(SIG_BLOCK, &mask, NULL));
	for (i = 0; i < 3; i++)
		NEED(!sigqueue(getpid(), SIGRTMIN, (union sigval){ i }));
	NEED(!setitimer(ITIMER_REAL, &often, NULL));
	mem = mmap(NULL, 8 * page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(mem != MAP_FAILED);
	mem[0] = 1;
	mem[5 * page] = 1;
	madvise(mem + 2 * page, page, 102 /* MADV_GUARD_INSTALL */);
	cr_fork(nap, done);
	cr_await(done, 1);
	cr_msleep(20);
}

static uint32_t crc32(const unsigned char *p, size_t len)
{
	static uint32_t table[256];
	uint32_t crc = ~0U;
	int i, bit;

	if (!table[1]) {
		for (i = 0; i < 256; i++) {
			table[i] = i;
			for (bit = 0; bit < 8; bit++)
				table[i] = table[i] >> 1 ^
					   (table[i] & 1 ? 0xedb88320 : 0);
		}
	}
	while (len--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return ~crc;
}

/* With its header and its padding. */
static size_t record_size(size_t at)
{
	struct record *record = (void *)(meta + at);

	return sizeof(*record) + ((size_t)record->len + 7) / 8 * 8;
}

/* Makes the CRCs right again after something was changed. */
static void seal(void)
{
	struct header *header = (void *)image;

	header->meta_crc = crc32(meta, meta_len);
	header->header_crc = 0;
	header->header_crc = crc32(image, sizeof(*header));
}

static void write_image(struct cr_run *run, size_t offset, size_t len)
{
	if (pwrite(fd, image + offset, len, offset) != (ssize_t)len)
		cr_failed(run, "cannot write the image");
}

/*
 * A program whose registers or paths are not its own may do anything: what
 * it has found wrong tells nothing of the kernel.
 */
static void forget_complaints(struct cr_run *run)
{
	char path[80];

	snprintf(path, sizeof(path), "%s/failures", run->dir);
	unlink(path);
}

/*
 * Restarts from the file as it is now. Must it fail? Gives false when it is
 * not worth to go on.
 */
static bool try(struct cr_run *run, const char *what, size_t where, bool must)
{
	long ret = cr_try_restart(run, "image", 0);
	bool killed;

	tried++;
	if (ret > 0) {
		ran++;
		if (must)
			cr_failed(run, "%s at %zu: it was restarted", what,
				  where);
		killed = cr_kill(run);
		forget_complaints(run);
		return killed;
	}
	failed++;
	if (ret == 0 || ret == -EINTR || ret == -EFAULT)
		cr_failed(run, "%s at %zu: restart gave %ld", what, where, ret);
	if (waitpid(-1, NULL, WNOHANG | __WALL) >= 0 || errno != ECHILD) {
		cr_failed(run, "%s at %zu: tasks are left after %ld", what,
			  where, ret);
		return cr_kill(run);
	}
	return ret != -EINTR;
}

/* Where the page data begins. */
static size_t page_data(void)
{
	size_t page = sysconf(_SC_PAGESIZE);

	return (sizeof(struct header) + meta_len + page - 1) / page * page;
}

/* Takes an image of a process, and shows that it can be restarted. */
static bool prepare(struct cr_run *run)
{
	struct header *header;
	struct stat st;
	char path[80];

	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", CHECKPOINT_KILL) ||
	    !cr_none_left(run))
		return false;
	snprintf(path, sizeof(path), "%s/image", run->dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		cr_failed(run, "no image");
		return false;
	}
	image_len = st.st_size;
	image = malloc(image_len);
	header = (void *)image;
	if (read(fd, image, image_len) != st.st_size ||
	    image_len < sizeof(*header) || memcmp(image, "LinuxCR", 8) ||
	    header->meta_len > image_len - sizeof(*header)) {
		cr_failed(run, "this is no image");
		return false;
	}
	meta = image + sizeof(*header);
	meta_len = header->meta_len;
	if (header->meta_crc != crc32(meta, meta_len)) {
		cr_failed(run, "the CRC of the metadata is another one");
		return false;
	}
	return cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN) &&
	       cr_kill(run);
}

static void finish(struct cr_run *run)
{
	ksft_print_msg("%u images: %u errors, %u restarted%s\n", tried,
		       failed, ran, late ? ", and no time for the others" : "");
	if (!tried)
		cr_failed(run, "nothing was tried");
	/* The kernel still is able to restart the real one. */
	write_image(run, 0, image_len);
	(void)(cr_restart(run, "image", 0) && cr_check(run, CR_AGAIN));
}

/*
 * Visits each number below n once, in an order that is spread out, so that a
 * test that runs out of its time has seen something of everything.
 */
struct spread {
	size_t n, at, left, step;
	unsigned long long end;
};

static size_t gcd(size_t a, size_t b)
{
	return b ? gcd(b, a % b) : a;
}

static struct spread spread(size_t n)
{
	struct spread s = {
		.n = n,
		.left = n,
		.step = n * 618 / 1000 | 1,
		.end = cr_now_ns() + BUDGET_NS,
	};

	while (gcd(s.step, n) != 1)
		s.step += 2;
	return s;
}

static bool next(struct spread *s)
{
	late |= s->left && cr_now_ns() > s->end;
	if (!s->left || late)
		return false;
	s->left--;
	s->at = (s->at + s->step) % s->n;
	return true;
}

/* Cut off, at multiples of 64 bytes: never enough to restart from. */
static void truncated_drive(struct cr_run *run)
{
	struct spread s;
	size_t len;

	if (!prepare(run))
		return;
	s = spread(image_len / 64);
	while (next(&s)) {
		len = s.at * 64;
		if (ftruncate(fd, len))
			cr_failed(run, "cannot truncate");
		if (!try(run, "cut", len, true))
			break;
		write_image(run, len, image_len - len);
	}
	finish(run);
}

/* Ended after each record, with CRCs that are right. */
static void records_drive(struct cr_run *run)
{
	struct header *header;
	size_t at, real_len;

	if (!prepare(run))
		return;
	header = (void *)image;
	real_len = meta_len;
	for (at = 0; at < real_len; at += record_size(at)) {
		/* The file ends here ... */
		if (ftruncate(fd, sizeof(*header) + at))
			cr_failed(run, "cannot truncate");
		if (!try(run, "cut before a record", at, true))
			break;
		/* ... or the header says that the metadata does. */
		meta_len = at;
		header->meta_len = at;
		seal();
		write_image(run, 0, image_len);
		if (!try(run, "ended before a record", at, false))
			break;
		meta_len = real_len;
		header->meta_len = real_len;
		seal();
		write_image(run, 0, image_len);
	}
	seal();
	finish(run);
}

/* A byte is another one, and nobody corrects the CRC. */
static void flip_in(struct cr_run *run, size_t start, size_t len,
		    const char *what, bool must)
{
	struct spread s = spread(len);
	size_t at;

	while (next(&s)) {
		at = start + s.at;
		image[at] ^= 1 << at % 8;
		write_image(run, at, 1);
		image[at] ^= 1 << at % 8;
		if (!try(run, what, at, must))
			break;
		write_image(run, at, 1);
	}
}

static void header_drive(struct cr_run *run)
{
	if (!prepare(run))
		return;
	flip_in(run, 0, sizeof(struct header), "flip in the header", true);
	finish(run);
}

static void metadata_drive(struct cr_run *run)
{
	if (!prepare(run))
		return;
	flip_in(run, sizeof(struct header), meta_len, "flip in the metadata",
		true);
	finish(run);
}

static void pages_drive(struct cr_run *run)
{
	size_t data;

	if (!prepare(run))
		return;
	data = page_data();
	if (data >= image_len)
		return cr_failed(run, "no page data");
	/* A sample of the pages, then all of the trailer. */
	flip_in(run, data + (image_len - data) / 2, 64,
		"flip in the page data", true);
	flip_in(run, image_len - 24, 24, "flip in the trailer", true);
	finish(run);
}

/* The CRCs are right, so what was changed reaches the reader. */
static void resealed_in(struct cr_run *run, size_t start, size_t len,
			const char *what, uint32_t (*change)(uint32_t old))
{
	struct spread s = spread(len / 4);
	uint32_t *word, old;

	while (next(&s)) {
		word = (uint32_t *)(image + start) + s.at;
		old = *word;
		*word = change(old);
		if (*word == old)
			continue;
		seal();
		write_image(run, 0, sizeof(struct header) + meta_len);
		*word = old;
		if (!try(run, what, start + s.at * 4, false))
			break;
	}
	seal();
	write_image(run, 0, sizeof(struct header) + meta_len);
}

static uint32_t to_zero(uint32_t old)
{
	return 0;
}

static uint32_t to_ones(uint32_t old)
{
	return ~0U;
}

static uint32_t to_next(uint32_t old)
{
	return old + 1;
}

static uint32_t to_negative(uint32_t old)
{
	return old ^ 1U << 31;
}

static void resealed(struct cr_run *run, const char *what,
		     uint32_t (*change)(uint32_t old))
{
	if (!prepare(run))
		return;
	resealed_in(run, sizeof(struct header), meta_len, what, change);
	finish(run);
}

/* Each field of the records of a kind. */
static void each_field(struct cr_run *run, uint16_t kind)
{
	size_t at, start, found = 0;

	if (!prepare(run))
		return;
	for (at = 0; at < meta_len; at += record_size(at)) {
		if (((struct record *)(meta + at))->kind != kind)
			continue;
		start = sizeof(struct header) + at + sizeof(struct record);
		resealed_in(run, start, record_size(at) - sizeof(struct record),
			    "zero", to_zero);
		resealed_in(run, start, record_size(at) - sizeof(struct record),
			    "ones", to_ones);
		resealed_in(run, start, record_size(at) - sizeof(struct record),
			    "increment", to_next);
		resealed_in(run, start, record_size(at) - sizeof(struct record),
			    "sign", to_negative);
		found++;
	}
	if (!found)
		cr_failed(run, "no record of kind %#x", kind);
	finish(run);
}

static void kind_drive(struct cr_run *run)
{
	each_field(run, run->scenario->kind);
}

#ifdef __x86_64__
/*
 * A shadow stack beyond the addresses of 32-bit code, whose end could not unmap
 * it: struct ShadowStack, and a flag in the architecture's words of struct Task.
 */
struct shadow_stack {
	uint32_t task, features;
	uint64_t locked, base, size, pointer;
};

#define KIND_TASK		0x23
#define KIND_SHADOW_STACK	0x3b
#define TASK_X86_FLAGS		200
#define X86_ADDR32		1

static void narrow_drive(struct cr_run *run)
{
	unsigned char *was;
	size_t at, found = 0;

	if (!prepare(run))
		return;
	was = malloc(meta_len);
	memcpy(was, meta, meta_len);
	for (at = 0; at < meta_len; at += record_size(at)) {
		struct record *record = (void *)(meta + at);
		unsigned char *body = (void *)(record + 1);
		struct shadow_stack *stack = (void *)body;

		if (record->kind == KIND_TASK)
			body[TASK_X86_FLAGS] |= X86_ADDR32;
		if (record->kind != KIND_SHADOW_STACK)
			continue;
		stack->features = 1;
		stack->base = 1ULL << 32;
		stack->size = 0x1000;
		stack->pointer = stack->base + 0xff8;
		found++;
	}
	if (found != 1)
		cr_failed(run, "%zu shadow stacks", found);
	seal();
	write_image(run, 0, sizeof(struct header) + meta_len);
	try(run, "a shadow stack of 32-bit code", 0, true);
	memcpy(meta, was, meta_len);
	free(was);
	seal();
	finish(run);
}
#endif

/*
 * Each field of one record of each kind, and a sample of what follows it. The
 * list says which kinds there are to be.
 */
static void first_of_each(struct cr_run *run, const uint16_t *kinds, size_t n)
{
	uint32_t (*const changes[])(uint32_t) = {
		to_zero, to_ones, to_next, to_negative,
	};
	size_t at, i, j, size;

	if (!prepare(run))
		return;
	for (i = 0; i < n; i++) {
		for (at = 0; at < meta_len; at += record_size(at)) {
			if (((struct record *)(meta + at))->kind == kinds[i])
				break;
		}
		if (at == meta_len) {
			cr_failed(run, "no record of kind %#x", kinds[i]);
			continue;
		}
		size = record_size(at);
		if (size > 400)
			size = 400;
		for (j = 0; j < ARRAY_SIZE(changes); j++)
			resealed_in(run, sizeof(struct header) + at, size,
				    "field", changes[j]);
	}
	finish(run);
}

static void files_drive(struct cr_run *run)
{
	static const uint16_t kinds[] = {
		0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
		0x6a, 0x6b, 0x6c, 0x70, 0x71, 0x72, 0x76,
	};

	first_of_each(run, kinds, ARRAY_SIZE(kinds));
}

static void state_drive(struct cr_run *run)
{
	static const uint16_t kinds[] = {
		0x02, 0x20, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x2b, 0x35,
		0x40, 0x41, 0x42, 0x43, 0x48,
	};

	first_of_each(run, kinds, ARRAY_SIZE(kinds));
}

/* The files behind huge pages, and what is reserved for them. */
static void huge_setup(void)
{
	size_t size = 2UL << 20;
	unsigned char *mem;
	int fd;

	alone_setup();
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	fd = memfd_create("huge", MFD_HUGETLB);
	if (mem == MAP_FAILED || fd < 0)
		cr_skip("no huge pages");
	mem[0] = 1;
	NEED(!ftruncate(fd, size));
}

/* With a pool that has enough of them for the time of the test. */
static void huge_drive(struct cr_run *run, uint16_t kind)
{
	const char *path = "/proc/sys/vm/nr_hugepages";
	char had[32] = "0";
	int pool = open(path, O_RDWR | O_CLOEXEC);

	if (pool >= 0) {
		if (pread(pool, had, sizeof(had) - 1, 0) > 0)
			dprintf(pool, "%ld\n", atol(had) + 4);
		close(pool);
	}
	each_field(run, kind);
	pool = open(path, O_WRONLY | O_CLOEXEC);
	if (pool >= 0) {
		dprintf(pool, "%ld\n", atol(had));
		close(pool);
	}
}

static void huge_file_drive(struct cr_run *run)
{
	huge_drive(run, 0x70);
}

static void huge_reserve_drive(struct cr_run *run)
{
	huge_drive(run, 0x44);
}

/* NUMA policies of a mapping and of shared memory. */
static void policy_setup(void)
{
	unsigned long first_node = 1;
	void *private, *shared;

	alone_setup();
	private = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	shared = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	NEED(private != MAP_FAILED && shared != MAP_FAILED);
	if (syscall(SYS_mbind, private, 4096UL, MPOL_BIND, &first_node, 64UL,
		    0) ||
	    syscall(SYS_mbind, shared, 4096UL, MPOL_BIND, &first_node, 64UL, 0))
		cr_skip("no NUMA policies");
}

static void task_policy_setup(void)
{
	unsigned long first_node = 1;

	alone_setup();
	if (syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &first_node, 64UL))
		cr_skip("no NUMA policies");
}

static void cgroup_drive(struct cr_run *run)
{
	kind_drive(run);
	rmdir("/sys/fs/cgroup/cr.hostile");
}

/* A socket that is bound and listens, and one of each other kind. */
static void sockets_setup(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	if (fd < 0 && cr_unsupported(errno))
		cr_skip("this kernel has no IPv6");
	alone_setup();
	NEED(!bind(fd, (struct sockaddr *)&any, sizeof(any)));
	NEED(!listen(fd, 5));
	NEED(socket(AF_INET, SOCK_DGRAM, 0) >= 0);
	strcpy(address.sun_path, cr_path("socket"));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	NEED(!bind(fd, (struct sockaddr *)&address, sizeof(address)));
	NEED(!listen(fd, 5));
}

/* Two that are connected, with a message that has been received in part. */
static void socketpair_setup(void)
{
	int pair[2], n = socket(AF_INET, SOCK_DGRAM, 0);
	char c;

	if (n < 0)
		cr_skip("this kernel has no IP");
	close(n);
	alone_setup();
	NEED(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	NEED(write(pair[0], "hello", 5) == 5 && read(pair[1], &c, 1) == 1);
}

/* Locks of all kinds. */
static void locks_setup(void)
{
	struct flock range = { .l_type = F_WRLCK, .l_start = 3, .l_len = 1 };
	int fd = open(cr_path("locked"), O_RDWR | O_CREAT, 0600);

	alone_setup();
	NEED(fd >= 0 && !flock(fd, LOCK_EX) && !fcntl(fd, F_SETLK, &range));
	range.l_start = 5;
	NEED(!fcntl(fd, F_OFD_SETLK, &range));
	fd = open(cr_path("mapped"), O_RDWR | O_CREAT, 0600);
	NEED(fd >= 0 && !flock(fd, LOCK_SH));
	NEED(mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
	close(fd);
}

static void zeros_drive(struct cr_run *run)
{
	resealed(run, "zero", to_zero);
}

static void ones_drive(struct cr_run *run)
{
	resealed(run, "ones", to_ones);
}

static void increments_drive(struct cr_run *run)
{
	resealed(run, "increment", to_next);
}

static void signs_drive(struct cr_run *run)
{
	resealed(run, "sign", to_negative);
}

/* Those bytes of the metadata whose place is @first more than a multiple of 4. */
static void bytes_from(struct cr_run *run, size_t first)
{
	struct spread s;
	size_t at;

	if (!prepare(run))
		return;
	s = spread(meta_len / 4);
	while (next(&s)) {
		at = s.at * 4 + first;
		meta[at] ^= 1 << at % 8;
		seal();
		write_image(run, 0, sizeof(struct header) + meta_len);
		meta[at] ^= 1 << at % 8;
		if (!try(run, "flip under a right CRC", at, false))
			break;
	}
	seal();
	finish(run);
}

/* Each word of the records of SysV objects, and of the mappings */
static bool is_sysv(uint16_t kind)
{
	static const uint16_t kinds[] = { 0x11, 0x16, 0x17, 0x18, 0x1c, 0x41 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kind == kinds[i])
			return true;
	}
	return false;
}

static void sysv_drive(struct cr_run *run)
{
	uint32_t (*const changes[])(uint32_t) = {
		to_zero, to_ones, to_next, to_negative,
	};
	size_t at, i;

	if (!prepare(run))
		return;
	for (at = 0; at < meta_len; at += record_size(at)) {
		struct record *record = (void *)(meta + at);

		if (!is_sysv(record->kind))
			continue;
		for (i = 0; i < ARRAY_SIZE(changes); i++)
			resealed_in(run, sizeof(struct header) + at,
				    record_size(at), "SysV", changes[i]);
	}
	finish(run);
}

/* Each field of the tasks of a family that shares all that can be shared. */
static int sleep_for_good(void *arg)
{
	for (;;)
		syscall(SYS_pause);
	return 0;
}

static int share_and_sleep(void *arg)
{
	static char stacks[2][16384];
	const int flags = CLONE_VM | CLONE_SIGHAND | CLONE_IO | CLONE_SYSVSEM |
			  SIGCHLD;

	NEED(clone(sleep_for_good, stacks[0] + sizeof(stacks[0]),
		   flags | CLONE_PARENT, NULL) > 0);
	NEED(clone(sleep_for_good, stacks[1] + sizeof(stacks[1]), flags,
		   NULL) > 0);
	return sleep_for_good(NULL);
}

static void share_in_child(void *arg)
{
	NEED(!syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		      IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 5)));
	share_and_sleep(NULL);
}

static void sharing_setup(void)
{
	cr_fork(share_in_child, NULL);
	cr_msleep(50);
}

static void bytes_0_drive(struct cr_run *run)
{
	bytes_from(run, 0);
}

static void bytes_1_drive(struct cr_run *run)
{
	bytes_from(run, 1);
}

static void bytes_2_drive(struct cr_run *run)
{
	bytes_from(run, 2);
}

static void bytes_3_drive(struct cr_run *run)
{
	bytes_from(run, 3);
}

/* The fields of the header, with the CRC of the header right. */
static void header_fields_drive(struct cr_run *run)
{
	static const uint32_t values[] = { 0, 1, 0x7fffffff, ~0U };
	struct header *header;
	uint32_t *words, old;
	size_t i, j;

	if (!prepare(run))
		return;
	header = (void *)image;
	words = (uint32_t *)image;
	for (i = 0; i < sizeof(*header) / 4; i++) {
		for (j = 0; j < ARRAY_SIZE(values); j++) {
			old = words[i];
			words[i] = values[j];
			if (&words[i] != &header->header_crc) {
				header->header_crc = 0;
				header->header_crc = crc32(image,
							   sizeof(*header));
			}
			write_image(run, 0, sizeof(*header));
			words[i] = old;
			if (!try(run, "header field", i * 4, false))
				goto out;
		}
	}
out:
	seal();
	finish(run);
}

/* Each record left out, and each in the place of the next one. */
static void order_drive(struct cr_run *run)
{
	unsigned char *real;
	struct header *header;
	size_t at, size, real_len, len, data;
	bool go_on = true;

	if (!prepare(run))
		return;
	header = (void *)image;
	real = malloc(image_len);
	memcpy(real, image, image_len);
	real_len = meta_len;
	data = page_data();

	for (at = 0; go_on && at < real_len; at += size) {
		size = record_size(at);
		/* Without this record, the page data where it belongs. */
		memmove(meta + at, meta + at + size, real_len - at - size);
		meta_len = real_len - size;
		header->meta_len = meta_len;
		len = page_data();
		memset(meta + meta_len, 0, len - sizeof(*header) - meta_len);
		memcpy(image + len, real + data, image_len - data);
		seal();
		write_image(run, 0, image_len);
		if (ftruncate(fd, len + image_len - data))
			cr_failed(run, "cannot truncate");
		go_on = try(run, "no record", at, false);
		memcpy(image, real, image_len);
		meta_len = real_len;

		/* It and the next one in the other order. */
		if (go_on && at + size < real_len) {
			size_t after = record_size(at + size);

			memcpy(meta + at, real + sizeof(*header) + at + size,
			       after);
			memcpy(meta + at + after,
			       real + sizeof(*header) + at, size);
			seal();
			write_image(run, 0, image_len);
			go_on = try(run, "records swapped", at, false);
			memcpy(image, real, image_len);
		}
	}
	free(real);
	finish(run);
}

/* Not even close. */
static void garbage_drive(struct cr_run *run)
{
	size_t i;

	if (!prepare(run))
		return;
	if (ftruncate(fd, 0))
		cr_failed(run, "cannot truncate");
	try(run, "nothing", 0, true);
	for (i = 0; i < 50; i++) {
		cr_pattern(image, image_len, i);
		if (i % 2)
			memcpy(image, "LinuxCR", 8);
		if (i % 10 == 9)
			seal();
		write_image(run, 0, image_len);
		if (!try(run, "garbage", i, true))
			break;
	}
	ksft_print_msg("%u images: %u errors\n", tried, failed);
}

static const struct cr_scenario scenarios[] = {
#define HOSTILE(name, how) \
	{ "hostile." name, CR_SUBTREE, alone_setup, alone_check, .drive = how }
	HOSTILE("garbage", garbage_drive),
	HOSTILE("truncated", truncated_drive),
	HOSTILE("truncated_at_records", records_drive),
	HOSTILE("header", header_drive),
	HOSTILE("header_fields", header_fields_drive),
	HOSTILE("metadata", metadata_drive),
	HOSTILE("page_data", pages_drive),
	HOSTILE("metadata_zeros", zeros_drive),
	HOSTILE("metadata_ones", ones_drive),
	HOSTILE("metadata_increments", increments_drive),
	HOSTILE("metadata_signs", signs_drive),
	HOSTILE("metadata_bytes_0", bytes_0_drive),
	HOSTILE("metadata_bytes_1", bytes_1_drive),
	HOSTILE("metadata_bytes_2", bytes_2_drive),
	HOSTILE("metadata_bytes_3", bytes_3_drive),
	HOSTILE("record_order", order_drive),
	{ "hostile.files", CR_SUBTREE, files_setup, alone_check,
	  .drive = files_drive },
	{ "hostile.state", CR_SUBTREE, state_setup, alone_check,
	  .drive = state_drive },
	{ "hostile.host_name", CR_CONTAINER, alone_setup, alone_check,
	  .drive = kind_drive, .kind = 0x10 },
	{ "hostile.usage", CR_SUBTREE, alone_setup, alone_check,
	  .drive = kind_drive, .kind = 0x29 },
	{ "hostile.usage_of_process", CR_SUBTREE, alone_setup, alone_check,
	  .drive = kind_drive, .kind = 0x2a },
	{ "hostile.timers", CR_SUBTREE, timers_setup, alone_check,
	  .drive = kind_drive, .kind = 0x2c },
	{ "hostile.huge_file", CR_SUBTREE, huge_setup, alone_check,
	  .drive = huge_file_drive },
	{ "hostile.huge_reserve", CR_SUBTREE, huge_setup, alone_check,
	  .drive = huge_reserve_drive },
	{ "hostile.policy", CR_SUBTREE, policy_setup, alone_check,
	  .drive = kind_drive, .kind = 0x45 },
	{ "hostile.task_policy", CR_SUBTREE, task_policy_setup, alone_check,
	  .drive = kind_drive, .kind = 0x2d },
	{ "hostile.locks", CR_SUBTREE, locks_setup, alone_check,
	  .drive = kind_drive, .kind = 0x76 },
	{ "hostile.sockets", CR_SUBTREE, sockets_setup, NULL,
	  .drive = kind_drive, .kind = 0x72 },
	{ "hostile.socketpairs", CR_SUBTREE, socketpair_setup, NULL,
	  .drive = kind_drive, .kind = 0x72 },
	{ "hostile.pair", CR_SUBTREE, socketpair_setup, NULL,
	  .drive = kind_drive, .kind = 0x73 },
	{ "hostile.traced", CR_SUBTREE, traced_setup, traced_check,
	  .drive = kind_drive, .kind = 0x28 },
	{ "hostile.sharing", CR_SUBTREE, sharing_setup, alone_check,
	  .drive = kind_drive, .kind = 0x23 },
	{ "hostile.login", CR_SUBTREE, login_setup, alone_check,
	  .drive = kind_drive, .kind = 0x23 },
	{ "hostile.registers", CR_SUBTREE, alone_setup, alone_check,
	  .drive = kind_drive, .kind = 0x24 },
	{ "hostile.shared_attributes", CR_SUBTREE, sharing_setup, alone_check,
	  .drive = kind_drive, .kind = 0x34 },
#ifdef __x86_64__
	{ "hostile.ports", CR_SUBTREE, ports_setup, alone_check,
	  .drive = kind_drive, .kind = 0x37 },
	{ "hostile.breakpoints", CR_SUBTREE, breakpoints_setup,
	  breakpoints_check, .drive = kind_drive, .kind = 0x3a },
	{ "hostile.shadow_stack", CR_SUBTREE, locked_setup, alone_check,
	  .drive = kind_drive, .kind = KIND_SHADOW_STACK },
	{ "hostile.shadow_stack_narrow", CR_SUBTREE, locked_setup, alone_check,
	  .drive = narrow_drive },
	{ "hostile.segments", CR_SUBTREE, segments_setup, alone_check,
	  .drive = kind_drive, .kind = 0x49 },
#endif
	{ "hostile.cgroup", CR_SUBTREE, cgroup_setup, alone_check,
	  .drive = cgroup_drive, .kind = 0x38 },
	{ "hostile.pids", CR_SUBTREE, nested_setup, alone_check,
	  .drive = kind_drive, .kind = 0x39 },
	{ "hostile.pid_namespaces", CR_CONTAINER, nested_setup, alone_check,
	  .drive = kind_drive, .kind = 0x12 },
	{ "hostile.namespaces", CR_CONTAINER, nested_setup, alone_check,
	  .drive = kind_drive, .kind = 0x13 },
	{ "hostile.user_namespaces", CR_SUBTREE, users_setup, alone_check,
	  .drive = kind_drive, .kind = 0x19 },
	{ "hostile.user_creds", CR_SUBTREE, users_setup, alone_check,
	  .drive = kind_drive, .kind = 0x20 },
	{ "hostile.aio", CR_SUBTREE, aio_setup, alone_check,
	  .drive = kind_drive, .kind = 0x4a },
	{ "hostile.clocks", CR_CONTAINER, alone_setup, alone_check,
	  .drive = kind_drive, .kind = 0x14 },
	{ "hostile.sysv", CR_CONTAINER, sysv_setup, sysv_check,
	  .drive = sysv_drive },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
