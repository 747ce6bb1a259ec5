/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the Rust code of checkpoint/restart needs of C: the headers for bindgen,
 * the entry points that C calls, and the C functions that exist only for it.
 */
#ifndef _KERNEL_CHECKPOINT_H
#define _KERNEL_CHECKPOINT_H

#include <linux/anon_inodes.h>
#include <linux/binfmts.h>
#include <linux/cgroup.h>
#include <linux/checkpoint.h>
#include <linux/crc32.h>
#include <linux/elf.h>
#include <linux/eventfd.h>
#include <linux/eventpoll.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/filelock.h>
#include <linux/fs_struct.h>
#include <linux/fsnotify.h>
#include <linux/hugetlb.h>
#include <linux/init_task.h>
#include <linux/ipc_namespace.h>
#include <linux/ksm.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <linux/mm_inline.h>
#include <linux/mman.h>
#include <linux/namei.h>
#include <linux/nsproxy.h>
#include <linux/oom.h>
#include <linux/personality.h>
#include <linux/pid_namespace.h>
#include <linux/pipe_fs_i.h>
#include <linux/posix-timers.h>
#include <linux/prctl.h>
#include <linux/ptrace.h>
#include <linux/regset.h>
#include <linux/rseq.h>
#include <linux/sched/coredump.h>
#include <linux/sched/exec_state.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/security.h>
#include <linux/sem.h>
#include <linux/seccomp.h>
#include <linux/shmem_fs.h>
#include <linux/socket.h>
#include <linux/time_namespace.h>
#include <linux/tty.h>
#include <linux/uio.h>
#include <linux/uts_namespace.h>
#include <linux/utsname.h>
#include <linux/vmalloc.h>
#include <uapi/linux/checkpoint.h>
#include <uapi/linux/memfd.h>
#include <uapi/linux/sched/types.h>
#include <asm/checkpoint.h>

/* Constants that bindgen cannot see through their casts. */
enum {
	checkpoint_FMODE_STREAM = (__force unsigned int)FMODE_STREAM,
	checkpoint_FMODE_READ = (__force unsigned int)FMODE_READ,
	checkpoint_FMODE_WRITE = (__force unsigned int)FMODE_WRITE,
	checkpoint_FMODE_WRITER = (__force unsigned int)FMODE_WRITER,
	checkpoint_FOLL_FORCE = FOLL_FORCE,
	checkpoint_FOLL_WRITE = FOLL_WRITE,
};

/* Called by the system calls (kernel/checkpoint/syscalls.c); in sys/entry.rs. */
long checkpoint_do_checkpoint(pid_t pid, int fd, unsigned long flags, int logfd);
long checkpoint_do_restart(pid_t pid, int fd, unsigned long flags, int logfd);

/* Credentials as plain numbers. */
struct checkpoint_cred {
	u32 uid[4];
	u32 gid[4];
	u64 caps[5];
	u32 securebits;
	bool has_keyrings;
};

/* A user namespace; see struct UserNs of the format, which has the same. */
enum {
	CHECKPOINT_USER_NS_SETGROUPS = 1,
	CHECKPOINT_USER_NS_SETFCAP = 2,
};

struct checkpoint_user_ns {
	u32 flags;
	u32 owner, group;
	u32 ranges[3];
	u32 limits[13];
};

/*
 * What prctl(2), sched_setattr(2) and similar calls have set; see struct
 * Attributes of the format, which has the same values.
 */
enum {
	CHECKPOINT_RESET_ON_FORK = 1,
	CHECKPOINT_SLICE = 2,
	CHECKPOINT_RECLAIM = 4,
	CHECKPOINT_OVERRUN = 8,
	CHECKPOINT_MCE_PROCESS = 0x10,
	CHECKPOINT_MCE_EARLY = 0x20,
	CHECKPOINT_IO_FLUSHER = 0x40,
	CHECKPOINT_NO_TSC = 0x80,
	CHECKPOINT_DISPATCH = 0x100,
	CHECKPOINT_STRICT = 0x200,
	CHECKPOINT_FUTEX_SLOTS = 0x400,
	CHECKPOINT_UTIL_MIN = 0x800,
	CHECKPOINT_UTIL_MAX = 0x1000,
};

struct checkpoint_attributes {
	u32 flags;
	u32 ioprio;
	s32 speculation[3];
	u32 membarrier;
	u64 runtime;
	u64 deadline;
	u64 period;
	u64 dispatch_offset;
	u64 dispatch_len;
	u64 dispatch_selector;
	u32 futex_slots;
	u32 util_min, util_max;
	/* Tells I/O contexts apart, and how many tasks have it. */
	unsigned long io_context;
	u32 io_users;
};

/* The formats of executables; those of the format first. */
enum {
	CHECKPOINT_BINFMT_NONE = 0,
	CHECKPOINT_BINFMT_ELF = 1,
	CHECKPOINT_BINFMT_COMPAT_ELF = 2,
	CHECKPOINT_BINFMT_OTHER = 3,
};

/* A struct restart_block without pointers to code; see struct RestartBlock. */
enum {
	CHECKPOINT_RESTART_NANOSLEEP = 1,
	CHECKPOINT_RESTART_POLL = 2,
	CHECKPOINT_RESTART_FUTEX = 3,
	CHECKPOINT_RESTART_ALARM = 4,
	CHECKPOINT_RESTART_CPU = 5,
};

struct checkpoint_restart_block {
	u32 call;
	u32 arg;
	u32 value;
	u32 bitset;
	u32 rem_type;
	u64 addr;
	u64 addr2;
	s64 left;
};

/*
 * The timers of setitimer(2), by ITIMER_*: what is left and the interval, in
 * ns. Nothing is left of a timer that does not run. One of ITIMER_REAL whose
 * signal waits to be taken has run out: -1 - the time since.
 */
struct checkpoint_itimers {
	s64 left[3];
	s64 interval[3];
};

/* A timer of timer_create(2); see struct PosixTimer of the format. */
enum {
	CHECKPOINT_TIMER_ARMED = 1,
	CHECKPOINT_TIMER_FIRED = 2,
	CHECKPOINT_TIMER_ABSOLUTE = 4,
	CHECKPOINT_TIMER_QUEUED = 8,
	CHECKPOINT_TIMER_IGNORED = 0x10,
	CHECKPOINT_TIMER_STALE = 0x20,
	CHECKPOINT_TIMER_PERIODIC = 0x40,
};

/**
 * struct checkpoint_timer - a timer of timer_create(2)
 * @id: its number
 * @clock: CLOCK_*, or a CPU clock
 * @notify: SIGEV_*
 * @signal: what it sends
 * @value: union sigval
 * @thread: whom it signals with SIGEV_THREAD_ID, -1 if that is gone
 * @cpu: whose CPU clock it is, -1 if that is gone
 * @flags: CHECKPOINT_TIMER_*
 * @position: of its signal among those that are pending
 * @expires: a moment of the clock, or what is left, or what has passed since
 * @interval: in ns
 * @overrun: expirations since the signal was sent, less one
 * @overrun_last: timer_getoverrun()
 */
struct checkpoint_timer {
	s32 id, clock;
	u32 notify;
	s32 signal;
	u64 value;
	s32 thread, cpu;
	u32 flags, position;
	s64 expires, interval;
	s64 overrun, overrun_last;
};

/**
 * struct checkpoint_stop - whether a process is stopped by a signal
 * @stopping: not all of its threads have come to the stop
 * @stopped: it is (SIGNAL_STOP_STOPPED)
 * @continued: it runs again, and its parent can wait for that (WCONTINUED)
 * @signal: what has stopped it
 * @code: the signal that its parent can wait for (WUNTRACED), 0 if it has
 */
struct checkpoint_stop {
	bool stopping;
	bool stopped;
	bool continued;
	u32 signal;
	u32 code;
};

/* How a task is traced, and the stop that it is in; see struct Ptrace. */
enum {
	CHECKPOINT_PTRACE_SEIZED = 1,
	CHECKPOINT_PTRACE_CAPABLE = 2,
	CHECKPOINT_PTRACE_SIGINFO = 4,
	CHECKPOINT_PTRACE_SYSCALLS = 8,
	CHECKPOINT_PTRACE_EMULATES = 0x10,
	CHECKPOINT_PTRACE_STEPS = 0x20,
	CHECKPOINT_PTRACE_DEQUEUED = 0x40,
	CHECKPOINT_PTRACE_JOINS = 0x80,
	CHECKPOINT_PTRACE_INTERRUPTED = 0x100,
	CHECKPOINT_PTRACE_NOTIFIES = 0x200,
	CHECKPOINT_PTRACE_LISTENS = 0x400,

	CHECKPOINT_STOP_NONE = 0,
	CHECKPOINT_STOP_SIGNAL = 1,
	CHECKPOINT_STOP_TRAP = 2,
	CHECKPOINT_STOP_ENTRY = 3,
	CHECKPOINT_STOP_EXIT = 4,
	CHECKPOINT_STOP_CLONE = 5,
	CHECKPOINT_STOP_EXEC = 6,
	CHECKPOINT_STOP_VFORK = 7,
	CHECKPOINT_STOP_SECCOMP = 8,
};

/**
 * struct checkpoint_ptrace - how a task is traced
 * @refused: what of it cannot be saved, or NULL
 * @flags: CHECKPOINT_PTRACE_*
 * @options: PTRACE_O_*
 * @stop: CHECKPOINT_STOP_*
 * @stop_signal: of the last group stop
 * @exit_code: what the ptracer can wait for
 * @child: what clone() or vfork() is going to return
 * @message: PTRACE_GETEVENTMSG
 */
struct checkpoint_ptrace {
	const char *refused;
	u32 flags, options, stop, stop_signal, exit_code;
	s32 child;
	u64 message;
};

/* A regular file without a name; see struct Unnamed. */
struct checkpoint_unnamed {
	u64 size;
	s64 atime[2];
	s64 mtime[2];
	u32 mode;
	u32 uid;
	u32 gid;
	u32 seals;
	u32 nlink;
	u32 huge;
	bool linkable;
};

/* A socket; see struct SocketFile. */
enum {
	CHECKPOINT_SOCKET_BOUND = 1,
	CHECKPOINT_SOCKET_PORT = 2,
	CHECKPOINT_SOCKET_LISTENS = 4,
	/* Bytes of the longest value of an option. */
	CHECKPOINT_SOCKET_VALUE = 16,
};

struct checkpoint_socket {
	const char *refused;
	u32 family, type, protocol;
	u32 flags;
	u32 uid, gid;
	u32 backlog;
	u32 drops;
	s64 stamp;
	struct sockaddr_storage address;
	u32 address_len;
	s32 creator;
	u32 path_mode, path_uid, path_gid;
	/* Of those that are connected: what both have in common, and which it is. */
	unsigned long pair;
	u32 side;
};

/* kernel/checkpoint/pages.c */
typedef int (*checkpoint_found_t)(void *arg, unsigned long addr,
				  unsigned long end, u64 id, u64 held);

int checkpoint_walk_anon(struct vm_area_struct *vma, unsigned long from,
			 bool skip_zeros, bool hold, struct mm_struct *before,
			 checkpoint_found_t found, void *arg);
int checkpoint_walk_guards(struct vm_area_struct *vma, unsigned long from,
			   checkpoint_found_t found, void *arg);
struct mm_struct *checkpoint_dup_mm(struct mm_struct *mm);
int checkpoint_share_pages(struct mm_struct *dst_mm, struct mm_struct *src_mm,
			   unsigned long start, unsigned long *end);

/* kernel/checkpoint/work.c */
extern struct workqueue_struct *checkpoint_workqueue;
int checkpoint_idle_cpu(void);

/* kernel/checkpoint/fill.c */
long checkpoint_make_pages(struct mm_struct *mm, unsigned long addr,
			   unsigned long *nr, struct page **pages);
void checkpoint_make_tables(struct mm_struct *mm, unsigned long addr,
			    unsigned long end, unsigned long *max);
int checkpoint_map_pages(struct mm_struct *mm, unsigned long addr,
			 unsigned long nr, const struct bio_vec *pages);

/* mm/checkpoint_lazy.c */
struct checkpoint_image;
struct checkpoint_image *checkpoint_image_open(struct file *file,
					       unsigned long first,
					       unsigned long pages,
					       const u64 *hashes);
void checkpoint_image_put(struct checkpoint_image *image);
long checkpoint_image_install(struct checkpoint_image *image,
			      struct mm_struct *mm, unsigned long start,
			      unsigned long nr, unsigned long index);
int checkpoint_image_read(struct checkpoint_image *image, unsigned long index,
			  const struct bio_vec *to, unsigned int nr);
int checkpoint_image_pull(struct mm_struct *mm, unsigned long start,
			  unsigned long end);
void checkpoint_image_start(struct checkpoint_image *image);

/* With the identity of a page: it is the same in an earlier duplicate, too. */
#define CHECKPOINT_SAME_ID	0x4000000000000000ULL
/* ... of a page in swap, so that it is not taken for a page frame. */
#define CHECKPOINT_SWAP_ID	0x8000000000000000ULL

/**
 * struct checkpoint_origin - where the pages of a duplicate have been saved
 * @id: number of the image
 * @realtime: when its tree was frozen, in ns
 * @object: number of the address space in that image
 */
struct checkpoint_origin {
	u64 id;
	s64 realtime;
	u32 object;
};

#define CHECKPOINT_LOCK_FLOCK	1
#define CHECKPOINT_LOCK_POSIX	2
#define CHECKPOINT_LOCK_OFD	3

/**
 * struct checkpoint_file_lock - a lock of a file
 * @owner: as in struct file_lock_core; an identity only
 * @start: first byte
 * @end: last byte; OFFSET_MAX for all that there may be
 * @how: CHECKPOINT_LOCK_*
 * @pid: of the process that has taken it
 * @write: whether it is exclusive
 */
struct checkpoint_file_lock {
	void *owner;
	s64 start;
	s64 end;
	u32 how;
	s32 pid;
	bool write;
};

/* kernel/checkpoint/spare.c */
int checkpoint_may_spare(struct mm_struct *dup, struct mm_struct *mm);
void checkpoint_put_mm(struct mm_struct *mm);
void checkpoint_put_mm_async(struct mm_struct *dup);
long checkpoint_get_pages(struct mm_struct *mm, unsigned long address,
			  unsigned long max, unsigned int flags,
			  struct page **pages);

/* kernel/checkpoint/track.c */
struct mm_struct *checkpoint_track_get(const struct mm_struct *mm,
				       struct checkpoint_origin *origin);
int checkpoint_track_set(struct mm_struct *mm, struct mm_struct *before,
			 const struct checkpoint_origin *origin);
void checkpoint_track_end(struct mm_struct *mm);

#endif /* _KERNEL_CHECKPOINT_H */
