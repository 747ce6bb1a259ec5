// SPDX-License-Identifier: GPL-2.0
/* SysV shared memory, semaphores and message queues of a container. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>

#include "cr.h"

#ifndef SHM_LOCKED
#define SHM_LOCKED	02000
#endif
#ifndef SHM_DEST
#define SHM_DEST	01000
#endif

#define KEY	0x5ca1ab1e

static size_t page_size;
static unsigned char *mem, *other;
static int id, id2, id3;
static pid_t child, children[2];
static struct shmid_ds shm_was;
static struct semid_ds sem_was;
static struct msqid_ds msg_was;

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

static void check_perm(const struct ipc_perm *is, const struct ipc_perm *was)
{
	CHECK_EQ(is->__key, was->__key);
	CHECK_EQ(is->uid, was->uid);
	CHECK_EQ(is->gid, was->gid);
	CHECK_EQ(is->cuid, was->cuid);
	CHECK_EQ(is->cgid, was->cgid);
	CHECK_EQ(is->mode, was->mode);
	CHECK_EQ(is->__seq, was->__seq);
}

static void check_segment(int id, const struct shmid_ds *was)
{
	struct shmid_ds is;

	CHECK_EQ(shmctl(id, IPC_STAT, &is), 0);
	check_perm(&is.shm_perm, &was->shm_perm);
	CHECK_EQ(is.shm_segsz, was->shm_segsz);
	CHECK_EQ(is.shm_nattch, was->shm_nattch);
	CHECK_EQ(is.shm_cpid, was->shm_cpid);
	CHECK_EQ(is.shm_lpid, was->shm_lpid);
	CHECK_EQ(is.shm_atime, was->shm_atime);
	CHECK_EQ(is.shm_dtime, was->shm_dtime);
	CHECK_EQ(is.shm_ctime, was->shm_ctime);
}

static int make_segment(key_t key, size_t size)
{
	int id = shmget(key, size, IPC_CREAT | IPC_EXCL | 0640);

	if (id < 0 && cr_unsupported(errno))
		cr_skip("no SysV shared memory");
	NEED(id >= 0);
	return id;
}

static void *attach(int id, int flags)
{
	void *p = shmat(id, NULL, flags);

	NEED(p != (void *)-1);
	return p;
}

/* So that the identifiers are not those which come first. */
static void use_up(void)
{
	int i;

	for (i = 0; i < 3; i++)
		NEED(!shmctl(make_segment(IPC_PRIVATE, 1), IPC_RMID, NULL));
}

/* Attached by two processes, in two ways; one of the attachments is split. */
static void adder(void *arg)
{
	for (;;) {
		if (mem[0] == 1) {
			mem[1]++;
			__atomic_store_n(&mem[0], 0, __ATOMIC_RELEASE);
		}
		cr_msleep(2);
	}
}

static void attached_setup(void)
{
	use_up();
	id = make_segment(KEY, 10 * page_size + 5);
	mem = attach(id, 0);
	other = attach(id, SHM_RDONLY);
	cr_pattern(mem + 2 * page_size, page_size, 1);
	cr_pattern(mem + 9 * page_size, page_size, 2);
	NEED(!mprotect(mem + 9 * page_size, page_size, PROT_READ));
	cr_fork(adder, NULL);
	NEED(!shmctl(id, IPC_STAT, &shm_was));
}

static void attached_check(enum cr_phase phase)
{
	int tries = 2000;

	check_segment(id, &shm_was);
	CHECK_EQ(shmget(KEY, 0, 0), id);
	CHECK_PATTERN(mem + 2 * page_size, page_size, 1);
	CHECK_PATTERN(other + 9 * page_size, page_size, 2);
	mem[1] = 7 + phase;
	__atomic_store_n(&mem[0], 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&mem[0], __ATOMIC_ACQUIRE) && tries--)
		cr_msleep(2);
	CHECK_EQ(other[1], 8 + phase);
	CHECK_EQ(mprotect(other, page_size, PROT_READ | PROT_WRITE), -1);
}

static void unattached_setup(void)
{
	use_up();
	id = make_segment(IPC_PRIVATE, 3 * page_size);
	id2 = make_segment(KEY, 100);
	mem = attach(id, 0);
	cr_pattern(mem + page_size, page_size, 3);
	NEED(!shmdt(mem));
	NEED(!shmctl(id, IPC_STAT, &shm_was));
}

static void unattached_check(enum cr_phase phase)
{
	check_segment(id, &shm_was);
	CHECK_EQ(shmget(KEY, 100, 0), id2);
	mem = attach(id, SHM_RDONLY);
	CHECK_PATTERN(mem + page_size, page_size, 3);
	CHECK_EQ(shmdt(mem), 0);
	NEED(!shmctl(id, IPC_STAT, &shm_was));
}

/* It lives as long as somebody has it attached, and not longer. */
static void destroyed_setup(void)
{
	use_up();
	id = make_segment(KEY, page_size);
	mem = attach(id, 0);
	cr_pattern(mem, page_size, 4);
	NEED(!shmctl(id, IPC_RMID, NULL));
	NEED(!shmctl(id, IPC_STAT, &shm_was));
}

static void destroyed_check(enum cr_phase phase)
{
	struct shmid_ds is;

	check_segment(id, &shm_was);
	CHECK(shm_was.shm_perm.mode & SHM_DEST);
	CHECK_PATTERN(mem, page_size, 4);
	CHECK_EQ(shmget(KEY, 0, 0), -1);
	CHECK_EQ(errno, ENOENT);
	if (phase != CR_AGAIN)
		return;
	CHECK_EQ(shmdt(mem), 0);
	CHECK_EQ(shmctl(id, IPC_STAT, &is), -1);
	CHECK_EQ(errno, EINVAL);
}

/* Values, who set them, and when */
static void setter(void *arg)
{
	struct sembuf op = { .sem_num = 3, .sem_op = 5 };

	NEED(!semop(id, &op, 1));
	for (;;)
		pause();
}

static void semaphores_setup(void)
{
	struct sembuf op = { .sem_num = 1, .sem_op = 2 };
	union semun arg = { .buf = &sem_was };

	id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
	if (id < 0 && cr_unsupported(errno))
		cr_skip("no SysV semaphores");
	NEED(id >= 0 && !semctl(id, 0, IPC_RMID));
	id = semget(KEY, 4, IPC_CREAT | IPC_EXCL | 0604);
	NEED(id >= 0);
	arg.val = 32767;
	NEED(!semctl(id, 0, SETVAL, arg));
	NEED(!semop(id, &op, 1));
	child = cr_fork(setter, NULL);
	while (semctl(id, 3, GETVAL) != 5)
		cr_msleep(2);
	arg.buf = &sem_was;
	NEED(!semctl(id, 0, IPC_STAT, arg));
}

static void semaphores_check(enum cr_phase phase)
{
	struct semid_ds is;
	union semun arg = { .buf = &is };
	struct sembuf op = { .sem_num = 2, .sem_op = -1,
			     .sem_flg = IPC_NOWAIT };

	CHECK_EQ(semctl(id, 0, IPC_STAT, arg), 0);
	check_perm(&is.sem_perm, &sem_was.sem_perm);
	CHECK_EQ(is.sem_nsems, 4);
	CHECK_EQ(is.sem_otime, sem_was.sem_otime);
	CHECK_EQ(is.sem_ctime, sem_was.sem_ctime);
	CHECK_EQ(semget(KEY, 4, 0), id);
	CHECK_EQ(semctl(id, 0, GETVAL), 32767);
	CHECK_EQ(semctl(id, 1, GETVAL), 2);
	CHECK_EQ(semctl(id, 2, GETVAL), 0);
	CHECK_EQ(semctl(id, 3, GETVAL), 5);
	CHECK_EQ(semctl(id, 1, GETPID), getpid());
	CHECK_EQ(semctl(id, 2, GETPID), 0);
	CHECK_EQ(semctl(id, 3, GETPID), child);
	CHECK_EQ(semop(id, &op, 1), -1);
	CHECK_EQ(errno, EAGAIN);
}

/*
 * What is undone when tasks end: of two sets by a process, up and down, and of
 * one of them by a thread of its own that does not share.
 */
static int *thread_ends;
static char thread_stack[65536];

static int undo_in_thread(void *arg)
{
	static struct sembuf op = { .sem_num = 1, .sem_op = 4,
				    .sem_flg = SEM_UNDO };

	syscall(SYS_semop, id, &op, 1);
	while (!cr_get(thread_ends))
		syscall(SYS_sched_yield);
	return 0;
}

static void undo_child(void *arg)
{
	struct sembuf ops[] = {
		{ .sem_num = 0, .sem_op = 5, .sem_flg = SEM_UNDO },
		{ .sem_num = 2, .sem_op = -3, .sem_flg = SEM_UNDO },
		{ .sem_num = 3, .sem_op = 1 },
	};

	NEED(!semop(id2, ops, 1));
	NEED(!semop(id, ops, 3));
	NEED(clone(undo_in_thread, thread_stack + sizeof(thread_stack),
		   CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_FS |
		   CLONE_FILES, NULL) > 0);
	for (;;)
		pause();
}

static void make_sets(void)
{
	union semun arg = { .val = 7 };

	id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
	if (id < 0 && cr_unsupported(errno))
		cr_skip("no SysV semaphores");
	NEED(id >= 0);
	id2 = id;
	id = semget(KEY, 4, IPC_CREAT | IPC_EXCL | 0600);
	NEED(id >= 0);
	NEED(!semctl(id, 2, SETVAL, arg));
}

static void await_value(int set, int num, int value)
{
	int tries = 2000;

	while (semctl(set, num, GETVAL) != value && tries--)
		cr_msleep(2);
	CHECK_EQ(semctl(set, num, GETVAL), value);
}

static void undo_setup(void)
{
	make_sets();
	thread_ends = cr_shared(sizeof(*thread_ends));
	child = cr_fork(undo_child, NULL);
	await_value(id, 1, 4);
}

static void undo_check(enum cr_phase phase)
{
	CHECK_EQ(semctl(id, 0, GETVAL), 5);
	CHECK_EQ(semctl(id, 1, GETVAL), 4);
	CHECK_EQ(semctl(id, 2, GETVAL), 4);
	CHECK_EQ(semctl(id, 3, GETVAL), 1);
	CHECK_EQ(semctl(id2, 0, GETVAL), 5);
	if (phase != CR_AGAIN)
		return;
	cr_set(thread_ends, 1);
	await_value(id, 1, 0);
	CHECK_EQ(semctl(id, 0, GETVAL), 5);
	CHECK_EQ(semctl(id2, 0, GETVAL), 5);
	CHECK_EQ(kill(child, SIGKILL), 0);
	CHECK_EQ(waitpid(child, NULL, 0), child);
	CHECK_EQ(semctl(id, 0, GETVAL), 0);
	CHECK_EQ(semctl(id, 2, GETVAL), 7);
	CHECK_EQ(semctl(id, 3, GETVAL), 1);
	CHECK_EQ(semctl(id2, 0, GETVAL), 0);
}

/* A list that two processes have: undone when the second has ended */
static void undo_shared_setup(void)
{
	struct sembuf op = { .sem_num = 0, .sem_op = 3, .sem_flg = SEM_UNDO };
	int i;

	make_sets();
	NEED(!semop(id, &op, 1));
	for (i = 0; i < 2; i++) {
		children[i] = syscall(SYS_clone, CLONE_SYSVSEM | SIGCHLD, NULL,
				      NULL, NULL, NULL);
		NEED(children[i] >= 0);
		if (children[i])
			continue;
		op.sem_num = 1 + i;
		NEED(!semop(id, &op, 1));
		for (;;)
			pause();
	}
	await_value(id, 1, 3);
	await_value(id, 2, 10);
	NEED(!unshare(CLONE_SYSVSEM));
}

static void undo_shared_check(enum cr_phase phase)
{
	struct sembuf op = { .sem_num = 3, .sem_op = 1, .sem_flg = SEM_UNDO };

	CHECK_EQ(semctl(id, 0, GETVAL), 3);
	CHECK_EQ(semctl(id, 1, GETVAL), 3);
	CHECK_EQ(semctl(id, 2, GETVAL), 10);
	if (phase != CR_AGAIN)
		return;
	/* It has no part in that any more. */
	CHECK_EQ(semop(id, &op, 1), 0);
	CHECK_EQ(kill(children[0], SIGKILL), 0);
	CHECK_EQ(waitpid(children[0], NULL, 0), children[0]);
	CHECK_EQ(semctl(id, 0, GETVAL), 3);
	CHECK_EQ(semctl(id, 1, GETVAL), 3);
	CHECK_EQ(kill(children[1], SIGKILL), 0);
	CHECK_EQ(waitpid(children[1], NULL, 0), children[1]);
	CHECK_EQ(semctl(id, 0, GETVAL), 0);
	CHECK_EQ(semctl(id, 1, GETVAL), 0);
	CHECK_EQ(semctl(id, 2, GETVAL), 7);
	CHECK_EQ(semctl(id, 3, GETVAL), 1);
}

/* Messages of any length, in their order, by type */
static struct {
	long type;
	char text[8192];
} message;

static void send_message(long type, size_t len)
{
	message.type = type;
	cr_pattern(message.text, len, type);
	NEED(!msgsnd(id, &message, len, IPC_NOWAIT));
}

static void receive(long which, long type, size_t len)
{
	CHECK_EQ(msgrcv(id, &message, sizeof(message.text), which, IPC_NOWAIT),
		 len);
	CHECK_EQ(message.type, type);
	CHECK_PATTERN(message.text, len, type);
}

static void send_all(void)
{
	send_message(3, 100);
	send_message(1, 0);
	send_message(2, 8192);
	send_message(3, 1);
}

static void messages_setup(void)
{
	id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
	if (id < 0 && cr_unsupported(errno))
		cr_skip("no SysV message queues");
	NEED(id >= 0 && !msgctl(id, IPC_RMID, NULL));
	id = msgget(KEY, IPC_CREAT | IPC_EXCL | 0620);
	id2 = msgget(KEY + 1, IPC_CREAT | IPC_EXCL | 0600);
	NEED(id >= 0 && id2 >= 0);
	send_all();
	NEED(!msgctl(id, IPC_STAT, &msg_was));
	msg_was.msg_qbytes = 10000;
	NEED(!msgctl(id, IPC_SET, &msg_was));
	NEED(!msgctl(id, IPC_STAT, &msg_was));
}

static void messages_check(enum cr_phase phase)
{
	struct msqid_ds is;

	CHECK_EQ(msgctl(id, IPC_STAT, &is), 0);
	check_perm(&is.msg_perm, &msg_was.msg_perm);
	CHECK_EQ(is.msg_qnum, 4);
	CHECK_EQ(is.__msg_cbytes, 8293);
	CHECK_EQ(is.msg_qbytes, 10000);
	CHECK_EQ(is.msg_lspid, getpid());
	CHECK_EQ(is.msg_lrpid, msg_was.msg_lrpid);
	CHECK_EQ(is.msg_stime, msg_was.msg_stime);
	CHECK_EQ(is.msg_rtime, msg_was.msg_rtime);
	CHECK_EQ(is.msg_ctime, msg_was.msg_ctime);
	CHECK_EQ(msgget(KEY, 0), id);
	CHECK_EQ(msgget(KEY + 1, 0), id2);
	receive(2, 2, 8192);
	receive(0, 3, 100);
	receive(0, 1, 0);
	receive(0, 3, 1);
	CHECK_EQ(msgrcv(id, &message, 1, 0, IPC_NOWAIT), -1);
	CHECK_EQ(errno, ENOMSG);
	send_all();
	NEED(!msgctl(id, IPC_STAT, &msg_was));
}

/* The settings of the namespace, and which identifier is given out next */
static int given_out;

static void limits_setup(void)
{
	use_up();
	id = make_segment(IPC_PRIVATE, 1);
	cr_write_file("/proc/sys/kernel/msgmax", "4321", 4);
	cr_write_file("/proc/sys/kernel/sem", "100 200 30 40", 13);
	cr_write_file("/proc/sys/kernel/shmmax", "123456789", 9);
}

static void limits_check(enum cr_phase phase)
{
	char buf[64];
	int next;

	CHECK(cr_slurp("/proc/sys/kernel/msgmax", buf, sizeof(buf)) > 0);
	CHECK_EQ(atoi(buf), 4321);
	CHECK(cr_slurp("/proc/sys/kernel/sem", buf, sizeof(buf)) > 0);
	CHECK_STR(buf, "100\t200\t30\t40\n");
	CHECK(cr_slurp("/proc/sys/kernel/shmmax", buf, sizeof(buf)) > 0);
	CHECK_EQ(atoi(buf), 123456789);
	/* Identifiers are given out in turn: each time the index is the next. */
	next = make_segment(IPC_PRIVATE, 1);
	CHECK_EQ(next & 0x7fff, (id & 0x7fff) + ++given_out);
	CHECK_EQ(next >> 15, id >> 15);
	CHECK_EQ(shmctl(next, IPC_RMID, NULL), 0);
}

/* An object remembers those that are gone. */
static void outlived_child(void *arg)
{
	struct sembuf op = { .sem_op = 1 };

	shmdt(attach(id, 0));
	NEED(!semop(id2, &op, 1));
	message.type = 1;
	NEED(!msgsnd(id3, &message, 10, 0));
	NEED(msgrcv(id3, &message, 10, 0, 0) == 10);
}

static void outlived_setup(void)
{
	id = make_segment(IPC_PRIVATE, page_size);
	id2 = semget(IPC_PRIVATE, 2, 0600);
	id3 = msgget(IPC_PRIVATE, 0600);
	if (id2 < 0 || id3 < 0)
		cr_skip("no SysV semaphores or message queues");
	child = cr_fork(outlived_child, NULL);
	cr_reap(child, 0);
	NEED(!shmctl(id, IPC_STAT, &shm_was));
	NEED(!msgctl(id3, IPC_STAT, &msg_was));
}

static void outlived_check(enum cr_phase phase)
{
	struct msqid_ds is;

	CHECK_EQ(kill(child, 0), -1);
	CHECK_EQ(errno, ESRCH);
	check_segment(id, &shm_was);
	CHECK_EQ(shm_was.shm_lpid, child);
	CHECK_EQ(semctl(id2, 0, GETPID), child);
	CHECK_EQ(semctl(id2, 1, GETPID), 0);
	CHECK_EQ(msgctl(id3, IPC_STAT, &is), 0);
	CHECK_EQ(is.msg_lspid, child);
	CHECK_EQ(is.msg_lrpid, child);
}

/* Parts that were unmapped or replaced, and parts that are not joined again */
static void parts_setup(void)
{
	struct shmid_ds is;

	id = make_segment(KEY, 8 * page_size);
	mem = attach(id, 0);
	cr_pattern(mem, 8 * page_size, 6);
	NEED(!munmap(mem, page_size));
	NEED(!mprotect(mem + 3 * page_size, page_size, PROT_READ));
	NEED(!mprotect(mem + 3 * page_size, page_size,
		       PROT_READ | PROT_WRITE));
	id2 = make_segment(IPC_PRIVATE, page_size);
	NEED(shmat(id2, mem + 6 * page_size, SHM_REMAP) ==
	     mem + 6 * page_size);
	cr_pattern(mem + 6 * page_size, page_size, 7);
	NEED(!shmctl(id, IPC_STAT, &shm_was));
	NEED(!shmctl(id2, IPC_STAT, &is));
	NEED(is.shm_nattch == 1 && shm_was.shm_nattch > 1);
}

static void parts_check(enum cr_phase phase)
{
	void *all;

	check_segment(id, &shm_was);
	CHECK_PATTERN(mem + 6 * page_size, page_size, 7);
	all = attach(id, SHM_RDONLY);
	CHECK_PATTERN(all, 8 * page_size, 6);
	CHECK_MEM(mem + page_size, all + page_size, 5 * page_size);
	CHECK_MEM(mem + 7 * page_size, all + 7 * page_size, page_size);
	CHECK_EQ(shmdt(all), 0);
	NEED(!shmctl(id, IPC_STAT, &shm_was));
}

/* A key that was taken again after its segment was marked */
static void key_again_setup(void)
{
	int spare = make_segment(IPC_PRIVATE, 1);

	id = make_segment(KEY, page_size);
	mem = attach(id, 0);
	cr_pattern(mem, page_size, 8);
	NEED(!shmctl(id, IPC_RMID, NULL));
	NEED(!shmctl(spare, IPC_RMID, NULL));
	id2 = make_segment(KEY, page_size);
}

static void key_again_check(enum cr_phase phase)
{
	CHECK_EQ(shmget(KEY, 0, 0), id2);
	CHECK_PATTERN(mem, page_size, 8);
}

/* A duplicate of the address space is no attachment. */
static void copied_drive(struct cr_run *run)
{
	if (cr_start(run) && cr_check(run, CR_BEFORE) &&
	    cr_checkpoint(run, "image", CHECKPOINT_COW))
		cr_check(run, CR_AFTER);
}

/* Segments end with those who have made them (kernel.shm_rmid_forced). */
static void maker(void *arg)
{
	id = make_segment(KEY, page_size);
	cr_set(arg, id + 1);
	for (;;)
		pause();
}

static void forced_setup(void)
{
	int *word = cr_shared(sizeof(*word));

	id2 = make_segment(IPC_PRIVATE, page_size);
	cr_write_file("/proc/sys/kernel/shm_rmid_forced", "1", 1);
	child = cr_fork(maker, word);
	while (!cr_get(word))
		cr_msleep(2);
	id = cr_get(word) - 1;
}

static void forced_check(enum cr_phase phase)
{
	struct shmid_ds is;

	CHECK_EQ(shmctl(id, IPC_STAT, &is), 0);
	CHECK_EQ(shmctl(id2, IPC_STAT, &is), 0);
	if (phase != CR_AGAIN)
		return;
	CHECK_EQ(kill(child, SIGKILL), 0);
	CHECK_EQ(waitpid(child, NULL, 0), child);
	CHECK_EQ(shmctl(id, IPC_STAT, &is), -1);
	CHECK_EQ(shmctl(id2, IPC_STAT, &is), 0);
}

/* Those who wait, for a message, for room and for a semaphore */
static void receiver(void *arg)
{
	for (;;) {
		if (msgrcv(id, &message, sizeof(message.text), 1, 0) < 0)
			_exit(1);
		message.type = 2;
		NEED(!msgsnd(id, &message, 1, 0));
	}
}

static void sender(void *arg)
{
	message.type = 3;
	NEED(!msgsnd(id2, &message, 100, 0));
	for (;;)
		pause();
}

static void taker(void *arg)
{
	struct sembuf take[] = {
		{ .sem_num = 0, .sem_op = -1 },
		{ .sem_num = 1, .sem_op = 1 },
	};

	/* It is never restarted, see signal(7). */
	for (;;)
		if (semop(id3, take, 2) && errno != EINTR)
			_exit(1);
}

static void waiting_setup(void)
{
	id = msgget(IPC_PRIVATE, 0600);
	id2 = msgget(IPC_PRIVATE, 0600);
	id3 = semget(IPC_PRIVATE, 2, 0600);
	if (id < 0 || id2 < 0 || id3 < 0)
		cr_skip("no SysV semaphores or message queues");
	NEED(!msgctl(id2, IPC_STAT, &msg_was));
	msg_was.msg_qbytes = 100;
	NEED(!msgctl(id2, IPC_SET, &msg_was));
	message.type = 4;
	NEED(!msgsnd(id2, &message, 50, 0));
	cr_fork(receiver, NULL);
	cr_fork(sender, NULL);
	cr_fork(taker, NULL);
	cr_msleep(50);
}

static void waiting_check(enum cr_phase phase)
{
	struct sembuf give[] = {
		{ .sem_num = 0, .sem_op = 1 },
	};
	struct sembuf get[] = {
		{ .sem_num = 1, .sem_op = -1 },
	};

	message.type = 1;
	CHECK_EQ(msgsnd(id, &message, 1, 0), 0);
	CHECK_EQ(msgrcv(id, &message, 1, 2, 0), 1);
	CHECK_EQ(semop(id3, give, 1), 0);
	CHECK_EQ(semop(id3, get, 1), 0);
	CHECK_EQ(msgrcv(id2, &message, 100, 3, IPC_NOWAIT), -1);
	CHECK_EQ(errno, ENOMSG);
	if (phase != CR_AGAIN)
		return;
	CHECK_EQ(msgrcv(id2, &message, 100, 4, 0), 50);
	CHECK_EQ(msgrcv(id2, &message, 100, 3, 0), 100);
}

static void locked_setup(void)
{
	id = make_segment(IPC_PRIVATE, 2 * page_size);
	mem = attach(id, 0);
	cr_pattern(mem, page_size, 5);
	NEED(!shmctl(id, SHM_LOCK, NULL));
	NEED(!shmctl(id, IPC_STAT, &shm_was));
	NEED(shm_was.shm_perm.mode & SHM_LOCKED);
}

/* The kernel counts it as locked, not only as one that says so. */
static void locked_check(enum cr_phase phase)
{
	static char text[8192];
	const char *at;
	long with, without;

	check_segment(id, &shm_was);
	CHECK_PATTERN(mem, page_size, 5);
	NEED(cr_slurp("/proc/meminfo", text, sizeof(text)) > 0);
	at = strstr(text, "\nMlocked:");
	NEED(at);
	with = atol(at + 9);
	CHECK_EQ(shmctl(id, SHM_UNLOCK, NULL), 0);
	CHECK_EQ(shmctl(id, SHM_LOCK, NULL), 0);
	NEED(cr_slurp("/proc/meminfo", text, sizeof(text)) > 0);
	without = atol(strstr(text, "\nMlocked:") + 9);
	CHECK_EQ(with, without);
	CHECK_EQ(shmctl(id, IPC_STAT, &shm_was), 0);
}

/*
 * Somebody outside of the container has a segment attached. Only what the
 * tree itself does with it shows.
 */
static void shared_setup(void)
{
	id = make_segment(KEY, page_size);
	mem = attach(id, 0);
}

static void shared_check(enum cr_phase phase)
{
	struct shmid_ds is;

	CHECK_EQ(shmctl(id, IPC_STAT, &is), 0);
	CHECK_EQ(is.shm_nattch, 1);
	if (phase == CR_BEFORE)
		CHECK_EQ(is.shm_lpid, getpid());
	/* Who was outside has no number here. */
	if (phase == CR_AFTER)
		CHECK_EQ(is.shm_lpid, 0);
}

static void shared_drive(struct cr_run *run)
{
	int pidfd, pipefd[2];
	pid_t pid;
	char c;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE))
		return;
	pidfd = syscall(SYS_pidfd_open, run->root, 0);
	NEED(pidfd >= 0 && !pipe(pipefd));
	pid = fork();
	NEED(pid >= 0);
	if (!pid) {
		NEED(!setns(pidfd, CLONE_NEWIPC));
		attach(shmget(KEY, 0, 0), 0);
		NEED(write(pipefd[1], "", 1) == 1);
		for (;;)
			pause();
	}
	NEED(read(pipefd[0], &c, 1) == 1);
	if (cr_try_checkpoint(run, "image", 0) != -EBUSY)
		cr_failed(run, "a shared segment was saved");
	else if (!cr_log_has(run, "there are 2 attachments"))
		cr_failed(run, "the log does not say why");
	NEED(!kill(pid, SIGKILL) && waitpid(pid, NULL, 0) == pid);
	close(pidfd);
	close(pipefd[0]);
	close(pipefd[1]);
	if (cr_checkpoint(run, "image", CHECKPOINT_COW))
		cr_check(run, CR_AFTER);
}

/* A segment of the machine is not a part of a subtree. */
static void outside_setup(void)
{
	id = make_segment(IPC_PRIVATE, page_size);
	mem = attach(id, 0);
	NEED(!shmctl(id, IPC_RMID, NULL));
	cr_pattern(mem, page_size, 5);
}

static void outside_check(enum cr_phase phase)
{
	CHECK_PATTERN(mem, page_size, 5);
}

static const struct cr_scenario scenarios[] = {
	{ "sysv.attached", CR_CONTAINER, attached_setup, attached_check },
	{ "sysv.unattached", CR_CONTAINER, unattached_setup,
	  unattached_check },
	{ "sysv.destroyed", CR_CONTAINER, destroyed_setup, destroyed_check },
	{ "sysv.semaphores", CR_CONTAINER, semaphores_setup,
	  semaphores_check },
	{ "sysv.undo", CR_CONTAINER, undo_setup, undo_check },
	{ "sysv.undo_shared", CR_CONTAINER, undo_shared_setup,
	  undo_shared_check },
	{ "sysv.messages", CR_CONTAINER, messages_setup, messages_check },
	{ "sysv.limits", CR_CONTAINER, limits_setup, limits_check },
	{ "sysv.outlived", CR_CONTAINER, outlived_setup, outlived_check },
	{ "sysv.parts", CR_CONTAINER, parts_setup, parts_check },
	{ "sysv.key_again", CR_CONTAINER, key_again_setup, key_again_check },
	{ "sysv.copied", CR_CONTAINER, parts_setup, parts_check,
	  .drive = copied_drive },
	{ "sysv.forced", CR_CONTAINER, forced_setup, forced_check },
	{ "sysv.waiting", CR_CONTAINER, waiting_setup, waiting_check },
	{ "sysv.locked", CR_CONTAINER, locked_setup, locked_check },
	{ "sysv.shared_outside", CR_CONTAINER, shared_setup, shared_check,
	  .drive = shared_drive },
	{ "sysv.outside", CR_SUBTREE, outside_setup, outside_check,
	  CR_REFUSED, "SysV shared memory" },
};

int main(int argc, char **argv)
{
	page_size = sysconf(_SC_PAGESIZE);
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
