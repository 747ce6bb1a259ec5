// SPDX-License-Identifier: GPL-2.0
/* Who a task is, what it may do, and how much. */
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <linux/capability.h>
#include <linux/securebits.h>

#include "cr.h"

struct identity {
	uid_t ruid, euid, suid, fsuid;
	gid_t rgid, egid, sgid, fsgid;
};

static void identify(struct identity *id)
{
	NEED(!getresuid(&id->ruid, &id->euid, &id->suid));
	NEED(!getresgid(&id->rgid, &id->egid, &id->sgid));
	id->fsuid = setfsuid(-1);
	id->fsgid = setfsgid(-1);
}

static void check_identity(const struct identity *want)
{
	struct identity now;

	identify(&now);
	CHECK_EQ(now.ruid, want->ruid);
	CHECK_EQ(now.euid, want->euid);
	CHECK_EQ(now.suid, want->suid);
	CHECK_EQ(now.fsuid, want->fsuid);
	CHECK_EQ(now.rgid, want->rgid);
	CHECK_EQ(now.egid, want->egid);
	CHECK_EQ(now.sgid, want->sgid);
	CHECK_EQ(now.fsgid, want->fsgid);
}

/* Each number is another one, as far as the rules allow that. */
static void ids_setup(void)
{
	NEED(!setresgid(21, 22, 23));
	setfsgid(24);
	NEED(!setresuid(11, 12, 13));
	setfsuid(13);
}

static void ids_check(enum cr_phase phase)
{
	const struct identity want = { 11, 12, 13, 13, 21, 22, 23, 24 };

	check_identity(&want);
}

static void nobody_setup(void)
{
	NEED(!setgroups(0, NULL));
	NEED(!setresgid(65534, 65534, 65534));
	NEED(!setresuid(65534, 65534, 65534));
}

static void nobody_check(enum cr_phase phase)
{
	const struct identity nobody = { 65534, 65534, 65534, 65534,
					 65534, 65534, 65534, 65534 };

	check_identity(&nobody);
	CHECK_EQ(setuid(0), -1);
	CHECK_EQ(errno, EPERM);
	CHECK_EQ(open("/etc/shadow", O_RDONLY), -1);
}

static const gid_t groups[] = { 5, 70000, 6, 4000000000U, 99 };

static void groups_setup(void)
{
	NEED(!setgroups(ARRAY_SIZE(groups), groups));
}

static void groups_check(enum cr_phase phase)
{
	gid_t now[16];
	size_t i, j, found = 0;

	CHECK_EQ(getgroups(ARRAY_SIZE(now), now), ARRAY_SIZE(groups));
	for (i = 0; i < ARRAY_SIZE(groups); i++)
		for (j = 0; j < ARRAY_SIZE(groups); j++)
			found += now[j] == groups[i];
	CHECK_EQ(found, ARRAY_SIZE(groups));
}

struct caps {
	struct __user_cap_data_struct data[2];
};

static void get_caps(struct caps *caps)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};

	NEED(!syscall(SYS_capget, &header, caps->data));
}

static void set_caps(const struct caps *caps)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};

	NEED(!syscall(SYS_capset, &header, caps->data));
}

#define BIT(n)	(1U << (n))

static void capabilities_setup(void)
{
	struct caps caps;

	NEED(!prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT));
	NEED(!prctl(PR_CAPBSET_DROP, CAP_SYSLOG));
	get_caps(&caps);
	caps.data[0].permitted = BIT(CAP_CHOWN) | BIT(CAP_KILL) |
				 BIT(CAP_SETPCAP) | BIT(CAP_NET_RAW);
	caps.data[0].effective = BIT(CAP_CHOWN) | BIT(CAP_KILL);
	caps.data[0].inheritable = BIT(CAP_KILL) | BIT(CAP_NET_RAW);
	caps.data[1] = (struct __user_cap_data_struct){ };
	set_caps(&caps);
	NEED(!prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
}

static void capabilities_check(enum cr_phase phase)
{
	struct caps caps;

	get_caps(&caps);
	CHECK_EQ(caps.data[0].permitted, BIT(CAP_CHOWN) | BIT(CAP_KILL) |
		 BIT(CAP_SETPCAP) | BIT(CAP_NET_RAW));
	CHECK_EQ(caps.data[0].effective, BIT(CAP_CHOWN) | BIT(CAP_KILL));
	CHECK_EQ(caps.data[0].inheritable, BIT(CAP_KILL) | BIT(CAP_NET_RAW));
	CHECK_EQ(caps.data[1].permitted, 0);
	CHECK_EQ(caps.data[1].effective, 0);
	CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_SYS_BOOT), 0);
	CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_SYSLOG), 0);
	CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN), 1);
	CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0),
		 1);
	CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_RAW,
		       0, 0), 0);
}

static const int securebits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED |
			      SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS;

static void securebits_setup(void)
{
	NEED(!prctl(PR_SET_SECUREBITS, securebits));
}

static void securebits_check(enum cr_phase phase)
{
	CHECK_EQ(prctl(PR_GET_SECUREBITS), securebits);
	CHECK_EQ(prctl(PR_GET_KEEPCAPS), 1);
	CHECK_EQ(prctl(PR_SET_SECUREBITS, 0), -1);
	CHECK_EQ(errno, EPERM);
}

static void no_new_privs_setup(void)
{
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	NEED(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void no_new_privs_check(enum cr_phase phase)
{
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
}

/* A process of another user below the root, and a thread of another one. */
struct somebody {
	int turn;
	uid_t uid;
	gid_t gid;
};

static struct somebody *child, thread;

static void serve(struct somebody *me)
{
	for (;;) {
		if (cr_get(&me->turn) == 1) {
			me->uid = syscall(SYS_geteuid);
			me->gid = syscall(SYS_getegid);
			cr_set(&me->turn, 2);
		}
		cr_msleep(2);
	}
}

static void other_child(void *arg)
{
	NEED(!setresgid(333, 333, 333) && !setresuid(444, 444, 444));
	serve(child);
}

static void *other_thread(void *arg)
{
	/* The system calls change this thread alone. */
	NEED(!syscall(SYS_setresgid, 555, 555, 555));
	NEED(!syscall(SYS_setresuid, 666, 666, 666));
	serve(&thread);
	return NULL;
}

static void check_somebody(struct somebody *who, uid_t uid, gid_t gid)
{
	cr_set(&who->turn, 1);
	cr_await(&who->turn, 2);
	CHECK_EQ(who->uid, uid);
	CHECK_EQ(who->gid, gid);
}

static void others_setup(void)
{
	pthread_t id;

	child = cr_shared(sizeof(*child));
	cr_fork(other_child, NULL);
	NEED(!pthread_create(&id, NULL, other_thread, NULL));
}

static void others_check(enum cr_phase phase)
{
	check_somebody(child, 444, 333);
	check_somebody(&thread, 666, 555);
	CHECK_EQ(geteuid(), 0);
	CHECK_EQ(getegid(), 0);
}

/* Limits, soft and hard. */
static const struct {
	int what;
	rlim_t soft, hard;
} limits[] = {
	{ RLIMIT_NOFILE, 200, 300 },
	{ RLIMIT_CORE, 12345, RLIM_INFINITY },
	{ RLIMIT_FSIZE, 1UL << 32, 1UL << 33 },
	{ RLIMIT_STACK, 7 << 20, 64 << 20 },
	{ RLIMIT_SIGPENDING, 77, 78 },
	{ RLIMIT_CPU, 100000, 200000 },
};

static void limits_setup(void)
{
	struct rlimit limit;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		limit.rlim_cur = limits[i].soft;
		limit.rlim_max = limits[i].hard;
		NEED(!setrlimit(limits[i].what, &limit));
	}
}

static void limits_check(enum cr_phase phase)
{
	struct rlimit limit;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		CHECK_EQ(getrlimit(limits[i].what, &limit), 0);
		CHECK_EQ(limit.rlim_cur, limits[i].soft);
		CHECK_EQ(limit.rlim_max, limits[i].hard);
	}
	/* And they are enforced: descriptor 200 is one too many. */
	CHECK_EQ(dup2(0, 199), 199);
	close(199);
	CHECK_EQ(dup2(0, 200), -1);
	CHECK_EQ(errno, EBADF);
}

/*
 * Limits that were lowered below what there is: they are for what comes, what
 * is there stays.
 */
static unsigned char *locked;
static pid_t below;

static void sleep_forever(void *arg)
{
	for (;;)
		pause();
}

static void below_usage_setup(void)
{
	static const int lowered[] = {
		RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_MEMLOCK,
		RLIMIT_NPROC, RLIMIT_SIGPENDING,
	};
	struct rlimit limit = { .rlim_cur = 3, .rlim_max = 5000 };
	sigset_t set;
	size_t i;

	locked = mmap(NULL, 16384, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(locked != MAP_FAILED && !mlock(locked, 16384));
	cr_pattern(locked, 16384, 1);
	NEED(dup2(0, 150) == 150);
	below = cr_fork(sleep_forever, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	NEED(!sigprocmask(SIG_BLOCK, &set, NULL));
	for (i = 0; i < 10; i++)
		NEED(!sigqueue(getpid(), SIGRTMIN,
			       (union sigval){ .sival_int = i }));
	for (i = 0; i < ARRAY_SIZE(lowered); i++)
		NEED(!setrlimit(lowered[i], &limit));
	limit.rlim_cur = 20;
	NEED(!setrlimit(RLIMIT_NOFILE, &limit));
}

static void below_usage_check(enum cr_phase phase)
{
	struct timespec now = { };
	struct rlimit limit;
	siginfo_t info;
	sigset_t set;
	int i;

	CHECK_PATTERN(locked, 16384, 1);
	CHECK_EQ(fcntl(150, F_GETFD), 0);
	CHECK_EQ(kill(below, 0), 0);
	CHECK_EQ(getrlimit(RLIMIT_AS, &limit), 0);
	CHECK_EQ(limit.rlim_cur, 3);
	CHECK_EQ(limit.rlim_max, 5000);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	CHECK_EQ(limit.rlim_cur, 20);
	CHECK_EQ(dup2(0, 20), -1);
	CHECK((long)mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0) == -1);
	CHECK_EQ(errno, ENOMEM);
	if (phase != CR_AGAIN)
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	for (i = 0; i < 10; i++) {
		CHECK_EQ(sigtimedwait(&set, &info, &now), SIGRTMIN);
		CHECK_EQ(info.si_int, i);
	}
}

/* A daemon has opened what its user could not, before it became that user. */
static int secret;

static void daemon_setup(void)
{
	NEED(!mkdir(cr_path("private"), 0700));
	cr_write_file(cr_path("private/file"), "secret", 6);
	NEED(!chmod(cr_path("private/file"), 0600));
	secret = open(cr_path("private/file"), O_RDONLY);
	NEED(secret >= 0);
	NEED(!chdir(cr_path("private")));
	nobody_setup();
}

static void daemon_check(enum cr_phase phase)
{
	char buf[8] = "";

	CHECK_EQ(pread(secret, buf, 6, 0), 6);
	CHECK_STR(buf, "secret");
	CHECK_EQ(open(cr_path("private/file"), O_RDONLY), -1);
	CHECK_EQ(errno, EACCES);
	CHECK_EQ(open("file", O_RDONLY), -1);
	CHECK_EQ(errno, EACCES);
	nobody_check(phase);
}

/*
 * Logins, as the audit knows them: who it was goes to those whom a task makes
 * from then on, and so does the session.
 */
#define NOBODY	((unsigned int)-1)

enum { OUTSIDE, FIRST, HEIR, ORPHAN, SECOND, LOGINS };

static struct login {
	int asked, told;
	unsigned int uid, session;
} *logins;

static bool read_number(const char *path, unsigned int *number)
{
	char text[16] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	NEED(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	*number = strtoul(text, NULL, 10);
	return true;
}

static void log_in(const char *uid)
{
	int fd = open("/proc/thread-self/loginuid", O_WRONLY | O_CLOEXEC);

	NEED(write(fd, uid, strlen(uid)) == (ssize_t)strlen(uid));
	close(fd);
}

static void tell_login(struct login *login)
{
	for (;;) {
		int asked = cr_get(&login->asked);

		if (asked != login->told) {
			NEED(read_number("/proc/thread-self/loginuid",
					 &login->uid));
			NEED(read_number("/proc/thread-self/sessionid",
					 &login->session));
			cr_set(&login->told, asked);
		}
		cr_msleep(2);
	}
}

static void be_login(void *login)
{
	tell_login(login);
}

/* Has an heir, and an orphan, whom the root adopts. */
static void be_first(void *arg)
{
	log_in("1000");
	cr_fork(be_login, &logins[HEIR]);
	if (!fork()) {
		cr_fork(be_login, &logins[ORPHAN]);
		_exit(0);
	}
	tell_login(&logins[FIRST]);
}

static void *be_second(void *arg)
{
	log_in("2000");
	tell_login(&logins[SECOND]);
	return NULL;
}

static void ask_logins(void)
{
	int i;

	for (i = 0; i < LOGINS; i++) {
		cr_set(&logins[i].asked, logins[i].asked + 1);
		cr_await(&logins[i].told, logins[i].asked);
	}
}

static void login_setup(void)
{
	unsigned int uid;
	pthread_t thread;

	if (!read_number("/proc/self/loginuid", &uid))
		cr_skip("the kernel keeps no account of logins");
	logins = cr_shared(LOGINS * sizeof(*logins));
	NEED(!prctl(PR_SET_CHILD_SUBREAPER, 1));
	cr_fork(be_first, NULL);
	cr_fork(be_login, &logins[OUTSIDE]);
	NEED(!pthread_create(&thread, NULL, be_second, NULL));
	ask_logins();
}

static void login_check(enum cr_phase phase)
{
	ask_logins();
	CHECK_EQ(logins[OUTSIDE].uid, NOBODY);
	CHECK_EQ(logins[OUTSIDE].session, NOBODY);
	CHECK_EQ(logins[FIRST].uid, 1000);
	CHECK_EQ(logins[HEIR].uid, 1000);
	CHECK_EQ(logins[ORPHAN].uid, 1000);
	CHECK(logins[FIRST].session != NOBODY);
	CHECK_EQ(logins[HEIR].session, logins[FIRST].session);
	CHECK_EQ(logins[ORPHAN].session, logins[FIRST].session);
	CHECK_EQ(logins[SECOND].uid, 2000);
	CHECK(logins[SECOND].session != NOBODY);
	CHECK(logins[SECOND].session != logins[FIRST].session);
}

static void undumpable_setup(void)
{
	NEED(!prctl(PR_SET_DUMPABLE, 0));
}

static void undumpable_check(enum cr_phase phase)
{
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
}

static const struct cr_scenario scenarios[] = {
	{ "creds.ids", CR_TREE, ids_setup, ids_check },
	{ "creds.nobody", CR_TREE, nobody_setup, nobody_check },
	{ "creds.groups", CR_ANY, groups_setup, groups_check },
	{ "creds.capabilities", CR_TREE, capabilities_setup,
	  capabilities_check },
	{ "creds.securebits", CR_ANY, securebits_setup, securebits_check },
	{ "creds.no_new_privs", CR_ANY, no_new_privs_setup,
	  no_new_privs_check },
	{ "creds.child_and_thread", CR_TREE, others_setup, others_check },
	{ "creds.dumpable", CR_TREE, undumpable_setup, undumpable_check },
	{ "creds.daemon", CR_TREE, daemon_setup, daemon_check },
	{ "creds.login", CR_TREE, login_setup, login_check },
	{ "limits.values", CR_ANY, limits_setup, limits_check },
	{ "limits.below_usage", CR_TREE, below_usage_setup,
	  below_usage_check },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
