// SPDX-License-Identifier: GPL-2.0
/*
 * Core dumps of programs that have been restarted: core(5). Where they go is
 * the same for the whole machine, so it is set for a moment only.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <linux/elf.h>

#include "cr.h"

#if __SIZEOF_POINTER__ == 8
#define elf_header	elf64_hdr
#define elf_segment	elf64_phdr
#define CLASS		ELFCLASS64
#else
#define elf_header	elf32_hdr
#define elf_segment	elf32_phdr
#define CLASS		ELFCLASS32
#endif

#define PATTERN	"/proc/sys/kernel/core_pattern"
#define WORD	0x5ca1ab1eUL

#define SIZE	5000

static unsigned char *content;

struct crash {
	int now;
	unsigned long at;
};

static struct crash *crash;
static pid_t crasher;

/* What was found in a core. */
struct core {
	int fd;
	struct elf_header header;
	struct elf_segment *segments;
	elf_gregset_t regs;
	int threads;
	bool fault;
};

static void *sleep_in_thread(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

/* Writes to address 0, with a word in a register that can be found again. */
static __noreturn void fault(void)
{
#if defined(__x86_64__)
	unsigned long at;

	asm volatile("lea 1f(%%rip), %0\n\tmov %0, %1\n1:\tmovl $1, 0"
		     : "=&r" (at), "=m" (crash->at) : "S" (WORD) : "memory");
#elif defined(__i386__)
	asm volatile("movl $1f, %0\n1:\tmovl $1, 0"
		     : "=m" (crash->at) : "S" (WORD) : "memory");
#else
	raise(SIGSEGV);
#endif
	_exit(1);
}

static void crash_when_asked(void *arg)
{
	pthread_t id;

	NEED(!pthread_create(&id, NULL, sleep_in_thread, NULL));
	while (!cr_get(&crash->now))
		cr_msleep(2);
	fault();
}

static void core_path(char *buf, size_t size, pid_t pid)
{
	snprintf(buf, size, "%s/core.%d", cr_dir, pid);
}

/* The notes of a core: a status for each thread, that which crashed first. */
static void read_notes(struct core *core, const struct elf_segment *segment)
{
	char *notes = malloc(segment->p_filesz), *p = notes;
	const struct elf_prstatus *status;

	NEED(notes);
	CHECK_EQ(pread(core->fd, notes, segment->p_filesz, segment->p_offset),
		 segment->p_filesz);
	while (p + sizeof(struct elf32_note) <= notes + segment->p_filesz) {
		const struct elf32_note *note = (void *)p;
		char *desc = p + sizeof(*note) + (note->n_namesz + 3) / 4 * 4;

		if (note->n_type == NT_PRSTATUS &&
		    note->n_descsz == sizeof(*status)) {
			status = (void *)desc;
			if (!core->threads++) {
				memcpy(core->regs, status->pr_reg,
				       sizeof(core->regs));
				core->fault = status->pr_cursig == SIGSEGV;
			}
		}
		p = desc + (note->n_descsz + 3) / 4 * 4;
	}
	free(notes);
}

static void check_regs(const struct core *core)
{
	const struct user_regs_struct *regs = (void *)core->regs;

#if defined(__x86_64__)
	CHECK_EQ(regs->rsi, WORD);
	CHECK_EQ(regs->rip, crash->at);
#elif defined(__i386__)
	CHECK_EQ(regs->esi, WORD);
	CHECK_EQ(regs->eip, crash->at);
#endif
}

static void check_content(const struct core *core)
{
	unsigned long at = (unsigned long)content;
	char got[SIZE] = { };
	int i;

	for (i = 0; i < core->header.e_phnum; i++) {
		const struct elf_segment *s = &core->segments[i];

		if (s->p_type != PT_LOAD || at < s->p_vaddr ||
		    at + sizeof(got) > s->p_vaddr + s->p_filesz)
			continue;
		CHECK_EQ(pread(core->fd, got, sizeof(got),
			       s->p_offset + (at - s->p_vaddr)), sizeof(got));
	}
	CHECK_PATTERN(got, sizeof(got), 5);
}

static void check_core(const char *path, int threads)
{
	struct core core = { .fd = open(path, O_RDONLY | O_CLOEXEC) };
	size_t size;
	int i;

	CHECK(core.fd >= 0);
	if (core.fd < 0)
		return;
	CHECK_EQ(read(core.fd, &core.header, sizeof(core.header)),
		 sizeof(core.header));
	CHECK_MEM(core.header.e_ident, ELFMAG, SELFMAG);
	CHECK_EQ(core.header.e_ident[EI_CLASS], CLASS);
	CHECK_EQ(core.header.e_type, ET_CORE);
	size = core.header.e_phnum * sizeof(*core.segments);
	core.segments = malloc(size);
	NEED(core.segments);
	CHECK_EQ(pread(core.fd, core.segments, size, core.header.e_phoff), size);
	for (i = 0; i < core.header.e_phnum; i++)
		if (core.segments[i].p_type == PT_NOTE)
			read_notes(&core, &core.segments[i]);
	CHECK_EQ(core.threads, threads);
	CHECK(core.fault);
	check_regs(&core);
	check_content(&core);
	free(core.segments);
	close(core.fd);
}

/* Lets a child crash, and looks at what it leaves. */
static void let_crash(pid_t pid, int threads)
{
	char had[256] = "", path[PATH_MAX];
	int status = 0;

	NEED(cr_slurp(PATTERN, had, sizeof(had)) > 0);
	core_path(path, sizeof(path), pid);
	cr_write_file(PATTERN, path, strlen(path));
	cr_set(&crash->now, 1);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	cr_write_file(PATTERN, had, strlen(had));
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	CHECK(WCOREDUMP(status));
	check_core(path, threads);
	unlink(path);
	cr_set(&crash->now, 0);
}

static void setup(void)
{
	const struct rlimit any = { RLIM_INFINITY, RLIM_INFINITY };

	if (access(PATTERN, W_OK))
		cr_skip("no core dumps");
	NEED(!setrlimit(RLIMIT_CORE, &any));
	content = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(content != MAP_FAILED);
	cr_pattern(content, SIZE, 5);
	crash = cr_shared(sizeof(*crash));
}

static void fork_check(enum cr_phase phase)
{
	pid_t pid = fork();

	if (!pid) {
		while (!cr_get(&crash->now))
			cr_msleep(2);
		fault();
	}
	let_crash(pid, 1);
}

static void child_setup(void)
{
	setup();
	crasher = cr_fork(crash_when_asked, NULL);
}

static void child_check(enum cr_phase phase)
{
	if (phase == CR_AGAIN)
		let_crash(crasher, 2);
	else
		CHECK_EQ(kill(crasher, 0), 0);
}

static const struct cr_scenario scenarios[] = {
	{ "core.fork", CR_ANY, setup, fork_check },
	{ "core.child", CR_TREE, child_setup, child_check },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
