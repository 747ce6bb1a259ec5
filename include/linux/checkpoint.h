/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What checkpoint/restart needs of other subsystems and they keep private
 * otherwise: accessors, each defined beside the structure that it reads.
 */
#ifndef _LINUX_CHECKPOINT_H
#define _LINUX_CHECKPOINT_H

#include <linux/bits.h>
#include <linux/mm_types.h>
#include <linux/path.h>
#include <linux/signal_types.h>
#include <linux/types.h>
#include <linux/uidgid_types.h>
#include <linux/xxhash.h>

struct anon_vma_name;
struct completion;
struct epoll_event;
struct epoll_key;
struct file;
struct ipc_namespace;
struct kern_ipc_perm;
struct linux_binfmt;
struct mm_struct;
struct msg_msg;
struct oom_control;
struct pid;
struct pid_namespace;
struct pt_regs;
struct restart_block;
struct rlimit;
struct seccomp_filter;
struct sigevent;
struct sock;
struct sock_fprog_kern;
struct sockaddr_un;
struct task_struct;
struct tty_struct;
struct uid_gid_map;
struct user_namespace;
struct user_regset_view;
struct vm_area_struct;
struct vm_fault;
struct wait_queue_head;

/*
 * SysV objects: of a namespace that is given, or to be made in that of the
 * running task. Pids are those of a pid namespace; 0 stands for nobody.
 */
struct checkpoint_ipc_perm {
	s32 id, key;
	u32 uid, gid, cuid, cgid;
	u32 mode;
};

struct checkpoint_shm {
	struct checkpoint_ipc_perm perm;
	s32 name;
	u64 size;
	s64 atime, dtime, ctime;
	s32 cpid, lpid, creator;
	u32 nattch;
	u32 huge;
	bool noreserve;
	struct file *file;
};

struct checkpoint_sem {
	struct checkpoint_ipc_perm perm;
	s64 otime, ctime;
	u32 count;
};

struct checkpoint_sem_value {
	u32 value;
	s32 pid;
};

struct checkpoint_msg {
	struct checkpoint_ipc_perm perm;
	s64 stime, rtime, ctime;
	s32 lspid, lrpid;
	u64 qbytes, bytes;
	u32 count;
};

struct checkpoint_msg_head {
	s64 type;
	u32 len;
};

/**
 * struct checkpoint_ipc_limits - settings of an IPC namespace
 * @limits: sem: semmsl, semmns, semopm, semmni; msg: msgmax, msgmnb, msgmni;
 *	shm: shmmni, shm_rmid_forced, shmmax, shmall; mqueue: queues_max, msg_max,
 *	msgsize_max, msg_default, msgsize_default
 * @next: for sem, msg and shm: sequence number, last index, next index
 */
struct checkpoint_ipc_limits {
	u64 limits[16];
	int next[9];
};

/* ipc/util.c: the first object from index *@id on; sets *@id, returns its index */
int checkpoint_ipc_next(struct ipc_namespace *ns, int which, int *id);
void checkpoint_ipc_set_next(struct ipc_namespace *ns,
			     const struct checkpoint_ipc_limits *limits);
void checkpoint_ipc_get_perm(const struct kern_ipc_perm *perm,
			     struct checkpoint_ipc_perm *state);
int checkpoint_ipc_set_perm(struct kern_ipc_perm *perm,
			    const struct checkpoint_ipc_perm *state);
void checkpoint_ipc_set_pid(struct pid **pos, struct pid_namespace *pid_ns,
			    pid_t nr);

/*
 * ipc/shm.c: the segment that @file attaches, -EINVAL for other files, -EXDEV
 * if it is of another namespace. Those that return a file give a reference.
 */
int checkpoint_shm_file_id(struct file *file, struct ipc_namespace *ns);
int checkpoint_shm_get(struct ipc_namespace *ns, int id,
		       struct pid_namespace *pid_ns, struct checkpoint_shm *state);
struct file *checkpoint_shm_create(const struct checkpoint_shm *state);
struct file *checkpoint_shm_open(int id, bool may_write);
int checkpoint_shm_set(struct ipc_namespace *ns, struct pid_namespace *pid_ns,
		       const struct checkpoint_shm *state);

/* ipc/sem.c: -E2BIG, with the count in @state, if there are more than @max */
int checkpoint_sem_get(struct ipc_namespace *ns, int id,
		       struct pid_namespace *pid_ns, struct checkpoint_sem *state,
		       struct checkpoint_sem_value *values, unsigned int max);
int checkpoint_sem_create(const struct checkpoint_sem *state);
int checkpoint_sem_set(struct ipc_namespace *ns, struct pid_namespace *pid_ns,
		       const struct checkpoint_sem *state,
		       const struct checkpoint_sem_value *values);
unsigned long checkpoint_semundo(struct task_struct *task, unsigned int *users);
unsigned int checkpoint_semundo_sets(struct task_struct *task, int *ids,
				     unsigned int max);
int checkpoint_semundo_get(struct ipc_namespace *ns, unsigned long list, int id,
			   short *adjustments, unsigned int max);
int checkpoint_semundo_make(struct task_struct *task);
int checkpoint_semundo_share(struct task_struct *task, struct task_struct *first);
int checkpoint_semundo_add(struct task_struct *task, struct ipc_namespace *ns,
			   int id, const short *adjustments, unsigned int count);

/* ipc/msgutil.c, ipc/msg.c */
struct msg_msg *checkpoint_load_msg(const void *src, size_t len);
void checkpoint_store_msg(void *dest, const struct msg_msg *msg);
int checkpoint_msg_get(struct ipc_namespace *ns, int id,
		       struct pid_namespace *pid_ns, struct checkpoint_msg *state);
int checkpoint_msg_read(struct ipc_namespace *ns, int id,
			struct checkpoint_msg_head *heads, unsigned int count,
			void *data, size_t size);
int checkpoint_msg_create(const struct checkpoint_msg *state);
int checkpoint_msg_append(int id, const struct checkpoint_msg_head *head,
			  const void *data);
int checkpoint_msg_set(struct ipc_namespace *ns, struct pid_namespace *pid_ns,
		       const struct checkpoint_msg *state);

/* kernel/sys.c */
int do_prlimit(struct task_struct *tsk, unsigned int resource,
	       struct rlimit *new_rlim, struct rlimit *old_rlim);

/* fs/exec.c */
int checkpoint_exec_mmap(struct mm_struct *mm, struct user_namespace *user_ns);

/* kernel/audit.c, with CONFIG_AUDIT */
int audit_set_login(kuid_t loginuid, unsigned int sessionid);

/* kernel/user_namespace.c */
int checkpoint_write_id_map(struct user_namespace *ns, char *lines, int cap_setid,
			    struct uid_gid_map *map,
			    struct uid_gid_map *parent_map);

/* fs/binfmt_elf.c, and what fs/compat_binfmt_elf.c makes of it */
extern struct linux_binfmt elf_format;
extern struct linux_binfmt compat_elf_format;

/* kernel/fork.c: drops a reference to @child; not 0 if a fatal signal came */
int wait_for_vfork_done(struct task_struct *child, struct completion *vfork);

/* mm/madvise.c, with CONFIG_ANON_VMA_NAME */
int madvise_set_anon_name(struct mm_struct *mm, unsigned long start,
			  unsigned long len_in, struct anon_vma_name *anon_name);

/*
 * mm/hugetlb.c: whether a private mapping has pages reserved, as who made it has
 * and a child has not; whether a child has lost pages to who made it
 */
bool checkpoint_hugetlb_has_reserve(struct vm_area_struct *vma);
bool checkpoint_hugetlb_is_robbed(struct vm_area_struct *vma);

#define CHECKPOINT_NODE_WORDS	16

/**
 * struct checkpoint_policy - the NUMA policy of a mapping, of shared memory or of a task
 * @start: first address, or number of the first page of shared memory; of a task
 *	   the node that interleaving has used last
 * @end: the first behind it; of a task how many pages more that node gives
 * @mode: MPOL_*
 * @flags: MPOL_F_* that mbind(2) and set_mempolicy(2) take
 * @home: set_mempolicy_home_node(2), or -1
 * @nodes: a bit for each node, as the user gave them if the flags say so
 */
struct checkpoint_policy {
	u64 start, end;
	u32 mode, flags;
	s32 home;
	u64 nodes[CHECKPOINT_NODE_WORDS];
};

/* mm/mempolicy.c, with CONFIG_NUMA; -EINVAL if nodes are not there */
bool checkpoint_mpol_of_vma(struct vm_area_struct *vma,
			    struct checkpoint_policy *state);
bool checkpoint_mpol_of_shmem(struct file *file, u64 from,
			      struct checkpoint_policy *state);
bool checkpoint_mpol_of_task(struct task_struct *task,
			     struct checkpoint_policy *state);
int checkpoint_mpol_set_vma(const struct checkpoint_policy *state);
/* Without @state current has no policy. */
int checkpoint_mpol_set_task(const struct checkpoint_policy *state);
void checkpoint_mpol_clear_shmem(struct file *file);
int checkpoint_mpol_set_shmem(struct file *file,
			      const struct checkpoint_policy *state);

/* mm/mseal.c, on 64-bit machines: of the current address space */
int mseal_range(unsigned long start, unsigned long end);

/* kernel/sched/autogroup.c, with CONFIG_SCHED_AUTOGROUP */
unsigned long checkpoint_autogroup(struct task_struct *p, int *nice);
void checkpoint_share_autogroup(struct task_struct *p);

/*
 * Of task->jobctl, beside what linux/sched/jobctl.h has: the task is stopped for
 * its ptracer since a signal is to be delivered. Set before it stops, it has the
 * ptracer not be told of the stop.
 */
#define JOBCTL_TRAP_SIGNAL_BIT	28
#define JOBCTL_TRAP_SIGNAL	BIT(JOBCTL_TRAP_SIGNAL_BIT)

/*
 * security/yama/yama_lsm.c, with CONFIG_SECURITY_YAMA: whether the process of
 * @task has allowed somebody to trace it. @tracer tells tasks apart and must not
 * be followed; 0 stands for any task.
 */
bool checkpoint_yama_ptracer(struct task_struct *task, unsigned long *tracer);

/* kernel/signal.c: see there */
int checkpoint_ptrace_stop(unsigned long message, kernel_siginfo_t *info);
int checkpoint_signal_stop(void);

/* kernel/seccomp.c: see there */
bool checkpoint_seccomp_resume(void);

/* kernel/cgroup/freezer.c */
void cgroup_freeze_task(struct task_struct *task, bool freeze);

/* kernel/time/, fs/select.c, kernel/futex/waitwake.c */
long hrtimer_nanosleep_restart(struct restart_block *restart);
long alarm_timer_nsleep_restart(struct restart_block *restart);
long posix_cpu_nsleep_restart(struct restart_block *restart_block);
long do_restart_poll(struct restart_block *restart_block);
long futex_wait_restart(struct restart_block *restart);

/*
 * kernel/time/posix-timers.c: makes a timer of current. With @wanted_id it has
 * that number, and nothing is written to user space.
 */
int do_timer_create(clockid_t which_clock, struct sigevent *event,
		    timer_t __user *created_timer_id, const timer_t *wanted_id);

/**
 * struct checkpoint_eventfd - what an eventfd holds
 * @count: the counter
 * @flags: EFD_SEMAPHORE or 0
 */
struct checkpoint_eventfd {
	u64 count;
	unsigned int flags;
};

/* fs/eventfd.c: -EINVAL if @file is no eventfd */
int checkpoint_eventfd_get(struct file *file, struct checkpoint_eventfd *state);
int do_eventfd(u64 count, int flags);

/**
 * struct checkpoint_timerfd - what a timerfd is
 * @clockid: CLOCK_*
 * @settime_flags: TFD_*, as timerfd_settime() was told
 * @absolute: @expires is a moment of CLOCK_REALTIME, and not what is left
 * @armed: the timer runs
 * @expired: the timer has run out; the next read goes on from @expires
 * @cancelable: it wants to be told when the clock is set
 * @ticks: what a read returns
 * @expires: when it expires or has expired, in ns
 * @interval: in ns, or 0
 * @moffs: for @cancelable: what was between CLOCK_MONOTONIC and CLOCK_REALTIME,
 *	   or KTIME_MAX if the clock has been set
 */
struct checkpoint_timerfd {
	int clockid;
	unsigned int settime_flags;
	bool absolute, armed, expired, cancelable;
	u64 ticks;
	s64 expires;
	s64 interval;
	s64 moffs;
};

/* fs/timerfd.c: -EINVAL if @file is no timerfd */
int checkpoint_timerfd_get(struct file *file, struct checkpoint_timerfd *state);
/* Sets what is read again; with @start a timer that was armed runs from now on. */
void checkpoint_timerfd_set(struct file *file, const struct checkpoint_timerfd *state,
			    bool start);
int do_timerfd_create(int clockid, int flags);

/* fs/signalfd.c: -EINVAL if @file is no signalfd */
int checkpoint_signalfd_get(struct file *file, sigset_t *mask);
int do_signalfd4(int ufd, sigset_t *mask, int flags);

/**
 * struct checkpoint_pidfd - what pidfs knows of a task that may be gone
 * @has_xattrs: somebody has set extended attributes
 * @exited: the task has been reaped, with @exit_code
 * @dumped: it has dumped core, as the others say
 * @exit_code: see PIDFD_INFO_EXIT
 * @coredump_mask: see PIDFD_INFO_COREDUMP
 * @coredump_signal: see PIDFD_INFO_COREDUMP_SIGNAL
 * @coredump_code: see PIDFD_INFO_COREDUMP_CODE
 */
struct checkpoint_pidfd {
	bool has_xattrs, exited, dumped;
	s32 exit_code;
	u32 coredump_mask, coredump_signal, coredump_code;
};

/* fs/pidfs.c: -EBADF if @file is no pidfd */
int checkpoint_pidfd_get(struct file *file, struct checkpoint_pidfd *state);
/* @file is a pidfd of a task that has been reaped if @state says so. */
void checkpoint_pidfd_set(struct file *file, const struct checkpoint_pidfd *state);

/**
 * struct checkpoint_epitem - one registration of an epoll set
 * @file: what is watched; the caller gets no reference
 * @fd: the number that it was added by
 * @events: EPOLL*
 * @data: what epoll_wait() reports
 * @queue: where it waits; if in several places, one of them; NULL for none
 */
struct checkpoint_epitem {
	struct file *file;
	struct wait_queue_head *queue;
	int fd;
	u32 events;
	u64 data;
};

/*
 * fs/eventpoll.c: the registrations of an epoll set, from number @first on.
 * Returns how many were written to @items (0: no more), -EINVAL if @file is no
 * epoll set, or -EOPNOTSUPP if it has parameters for busy polling.
 */
int checkpoint_epoll_items(struct file *file, unsigned int first,
			   struct checkpoint_epitem *items, unsigned int max);
/* Makes a registration as if its event had been reported (EPOLLONESHOT). */
int checkpoint_epoll_disarm(struct file *file, struct epoll_key *key);
int do_epoll_create(int flags);

/**
 * struct checkpoint_aio - a context of asynchronous I/O
 * @address: of its ring, which is its name
 * @size: of the ring, in bytes
 * @id: by which the ring leads to it, at most CHECKPOINT_AIO_MAX
 * @max_reqs: how many requests were asked for
 * @tail: where the next event goes
 * @completed: slots of events that nobody is known to have taken
 */
struct checkpoint_aio {
	u64 address, size;
	u32 id;
	u32 max_reqs;
	u32 tail, completed;
};

/* As many as there can be where each needs pages of its own. */
#define CHECKPOINT_AIO_MAX	0xffff

/* fs/aio.c: whether requests are under way in an address space */
bool checkpoint_aio_busy(struct mm_struct *mm);
bool checkpoint_is_aio_ring(struct file *file);
/* The next context from number @next on, which is moved; -ENOENT: none. */
int checkpoint_aio_get(struct mm_struct *mm, u32 *next, struct checkpoint_aio *state);
/* Copies the ring of a context. */
int checkpoint_aio_read(struct mm_struct *mm, u64 address, u8 *data, size_t len);
/* Makes room for contexts up to the number @id, before there are any. */
int checkpoint_aio_reserve(u32 id);
/*
 * Makes a context in the address space of current. -EOPNOTSUPP: here its ring
 * has another size.
 */
int checkpoint_aio_make(const struct checkpoint_aio *state, u8 *data, size_t len);

/**
 * struct checkpoint_n_tty - what a terminal has received
 * @count: bytes that can be read, at most N_TTY_BUF_SIZE
 * @canon: how many of them belong to complete lines
 * @column: of the cursor
 * @canon_column: in which the line that is being typed started
 * @lnext: the next byte is taken literally
 * @erasing: an erasure is being echoed
 * @push: the line was ended by a change of ICANON
 */
struct checkpoint_n_tty {
	u32 count, canon;
	u32 column, canon_column;
	bool lnext, erasing, push;
};

/* drivers/tty/n_tty.c: -EBUSY if there are echoes that wait for room */
int checkpoint_n_tty_get(struct tty_struct *tty, struct checkpoint_n_tty *state,
			 u8 *data, u8 *eol);
void checkpoint_n_tty_set(struct tty_struct *tty,
			  const struct checkpoint_n_tty *state,
			  const u8 *data, const u8 *eol);

/*
 * kernel/seccomp.c: a chain of filters. What is returned is held as a task
 * would hold it, until checkpoint_seccomp_put(); NULL is the end of the chain.
 */
struct seccomp_filter *checkpoint_seccomp_newest(struct task_struct *task);
struct seccomp_filter *checkpoint_seccomp_older(struct seccomp_filter *filter);
void checkpoint_seccomp_put(struct seccomp_filter *filter);
/* -EBUSY if there is a listener, -EMEDIUMTYPE if the program is not known. */
int checkpoint_seccomp_program(struct seccomp_filter *filter, bool *log,
			       const struct sock_fprog_kern **prog);
/*
 * Confines current with the filter and those before it, as another task is.
 * -EPERM if that would take a filter from current.
 */
int checkpoint_seccomp_join(struct seccomp_filter *filter);
long do_seccomp(unsigned int op, unsigned int flags, void __user *uargs);

/**
 * struct checkpoint_usage - what a task, or several, have used
 * @time: CPU time of user, system and guest, and as the scheduler has it, in ns
 * @shown: time of user and system as it was told last, which does not go back
 * @faults: minor and major faults
 * @switches: voluntary and other context switches
 * @io: the fields of struct task_io_accounting
 */
struct checkpoint_usage {
	u64 time[4];
	u64 shown[2];
	u64 faults[2];
	u64 switches[2];
	u64 io[7];
};

/**
 * struct checkpoint_process_usage - what a process has used
 * @ended: by threads that have ended; @shown is of the whole process
 * @blocks: read and written, by threads that have ended
 * @child_time: CPU time of user, system and guest of children, in ns
 * @child_faults: minor and major faults of children
 * @child_switches: voluntary and other context switches of children
 * @child_blocks: read and written by children
 * @maxrss: most pages of the process and of a child, without what it has now
 */
struct checkpoint_process_usage {
	struct checkpoint_usage ended;
	u64 blocks[2];
	u64 child_time[3];
	u64 child_faults[2];
	u64 child_switches[2];
	u64 child_blocks[2];
	u64 maxrss[2];
};

/*
 * kernel/sched/checkpoint.c: of a task that is off its CPU, or current. The
 * usage of the process is set when that of all threads is.
 */
void checkpoint_get_usage(struct task_struct *task, struct checkpoint_usage *out);
void checkpoint_set_usage(struct task_struct *task,
			  const struct checkpoint_usage *in);
void checkpoint_get_process_usage(struct task_struct *task,
				  struct checkpoint_process_usage *out);
void checkpoint_set_process_usage(struct task_struct *task,
				  const struct checkpoint_process_usage *in);

/* mm/oom_kill.c */
bool __oom_reap_task_mm(struct mm_struct *mm);

/* kernel/checkpoint/spare.c */
#ifdef CONFIG_CHECKPOINT
bool checkpoint_spare_memory(struct oom_control *oc);
#else
static inline bool checkpoint_spare_memory(struct oom_control *oc)
{
	return false;
}
#endif

/* kernel/sched/membarrier.c */
int membarrier_register_global_expedited(void);
int membarrier_register_private_expedited(int flags);

/*
 * kernel/futex/core.c: the slots that PR_FUTEX_HASH has asked for, 0 for the
 * global hash, or -ENOENT if nobody has asked.
 */
int checkpoint_futex_hash(struct mm_struct *mm);

/*
 * mm/checkpoint_lazy.c: entries of page tables for which softleaf_is_image(),
 * which is never so without CONFIG_CHECKPOINT_LAZY.
 */
void checkpoint_lazy_dup(softleaf_t leaf);
void checkpoint_lazy_drop(softleaf_t leaf);
vm_fault_t checkpoint_lazy_fault(struct vm_fault *vmf);

/* arch/x86/kernel/ptrace.c */
extern const struct user_regset_view user_x86_64_view;
extern const struct user_regset_view user_x86_32_view;

/* arch/x86/entry/syscall_32.c, in a 64-bit kernel */
long ia32_sys_call(const struct pt_regs *regs, unsigned int nr);

/*
 * arch/x86/kernel/ldt.c: the local descriptor table of an address space, and
 * how many entries it has, of which at most @max are written to @entries.
 */
unsigned int checkpoint_get_ldt(struct mm_struct *mm, u64 *entries,
				unsigned int max);
/* Sets that of current, which has none. */
int checkpoint_set_ldt(const u64 *entries, unsigned int count);

/* net/unix/checkpoint_unix.c: what only the family knows of a socket. */
struct checkpoint_unix {
	/* Referenced; empty if it has none. */
	struct path path;
	/* The pid of who has called listen() or socketpair(); or 0. */
	s32 creator;
	/* See struct checkpoint_socket. */
	unsigned long pair;
	u32 side;
};

/* What a socket has sent and its peer has not received, and room for it. */
struct checkpoint_unix_sent {
	u32 *lens;
	size_t max;
	size_t count;
	u8 *data;
	size_t room;
	size_t len;
	/* Bytes of the first message that were received. */
	u32 consumed;
};

/* What of it cannot be saved, or NULL. */
const char *checkpoint_unix_get(struct sock *sk, struct pid_namespace *ns,
				struct checkpoint_unix *state);
/* Copies what there is room for, and tells how much there is. */
int checkpoint_unix_get_sent(struct sock *sk, struct checkpoint_unix_sent *sent);
/* Shows @task as the one that has called listen() or socketpair(). */
int checkpoint_unix_set_creator(struct sock *sk, struct task_struct *task);
int checkpoint_unix_getsockopt(struct sock *sk, int name);
int checkpoint_unix_attach(struct sock *sk, const struct path *path,
			   struct sockaddr_un *sunaddr, int addr_len);

#endif /* _LINUX_CHECKPOINT_H */
