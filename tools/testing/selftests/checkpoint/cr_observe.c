// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel tells about the tasks of a tree, compared before and after a
 * restart, for every scenario: what a restart forgets is found here also when
 * no scenario asks for it.
 *
 * The driver reads /proc, and calls that take a pid, for each task while the
 * tree is frozen: in the original as it was saved, and in the restarted tree
 * before it runs. The root of the tree itself calls what a task can only ask
 * for itself.
 *
 * Everything that is read is compared, but for what the tables name with a
 * reason.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>

#include "cr.h"

/* Files of a task. */
static const char * const files[] = {
	"attr/current", "autogroup", "auxv", "cgroup", "cmdline", "comm",
	"coredump_filter", "environ", "gid_map", "limits", "loginuid", "maps",
	"mounts", "numa_maps", "oom_score_adj", "personality", "projid_map", "sessionid",
	"setgroups", "smaps", "stat", "status", "syscall", "timens_offsets",
	"timers", "timerslack_ns", "uid_map",
};

static const char * const links[] = {
	"cwd", "exe", "root", "ns/cgroup", "ns/mnt", "ns/net", "ns/time",
};

/* Lines that are not compared: those that begin so. */
static const struct {
	const char *file, *start, *why;
} not_compared[] = {
	{ "sessionid", "", "a number that the kernel draws" },
	{ "status", "Tgid:", "the last of NStgid has it" },
	{ "status", "Pid:", "the last of NSpid has it" },
	{ "status", "PPid:", "is compared as parent" },
	{ "status", "TracerPid:", "a number of the reader; ptrace.c asks the tracer" },
	{ "status", "FDSize:", "room, not content" },
	{ "status", "State:", "frozen, both times" },
	{ "status", "SigQ:", "counts the signals of all processes of a user" },
	{ "status", "VmRSS:", "which pages are present" },
	{ "status", "RssAnon:", "which pages are present" },
	{ "status", "RssFile:", "which pages are present" },
	{ "status", "RssShmem:", "which pages are present" },
	{ "status", "VmSwap:", "which pages are present" },
	{ "status", "HugetlbPages:", "which pages are present" },
	{ "status", "VmPTE:", "page tables" },
	{ "smaps", "Rss:", "which pages are present" },
	{ "smaps", "Pss", "which pages are present" },
	{ "smaps", "Shared_", "which pages are present" },
	{ "smaps", "Private_", "which pages are present" },
	{ "smaps", "Referenced:", "which pages are present" },
	{ "smaps", "Anonymous:", "which pages are present" },
	{ "smaps", "KSM:", "which pages are present" },
	{ "smaps", "LazyFree:", "which pages are present" },
	{ "smaps", "AnonHugePages:", "which pages are present" },
	{ "smaps", "ShmemPmdMapped:", "which pages are present" },
	{ "smaps", "FilePmdMapped:", "which pages are present" },
	{ "smaps", "Swap", "which pages are present" },
	{ "smaps", "Locked:", "which pages are present" },
	{ "stat", "1 ", "the last of NSpid has it" },
	{ "stat", "3 ", "frozen, both times" },
	{ "stat", "4 ", "is compared as parent" },
	{ "stat", "5 ", "the last of NSpgid has it" },
	{ "stat", "6 ", "the last of NSsid has it" },
	{ "stat", "8 ", "a pid of the driver's namespace" },
	{ "stat", "9 ", "flags of the kernel, among them of the past" },
	{ "stat", "24 ", "which pages are present" },
	{ "stat", "35 ", "where in the kernel it sleeps" },
	{ "stat", "39 ", "where it ran last" },
	{ "stat", "42 ", "how long it waited for I/O" },
	{ "status of a zombie", "SigBlk:", "it takes no signals any more" },
	{ "status of a zombie", "SigPnd:", "it takes no signals any more" },
	{ "status of a zombie", "ShdPnd:", "it takes no signals any more" },
	{ "status of a zombie", "SigIgn:", "it takes no signals any more" },
	{ "status of a zombie", "SigCgt:", "it takes no signals any more" },
	{ "stat of a zombie", "33 ", "it takes no signals any more" },
	{ "stat of a zombie", "34 ", "it takes no signals any more" },
	{ "stat of a zombie", "31 ", "it takes no signals any more" },
	{ "stat of a zombie", "32 ", "it takes no signals any more" },
	{ "fdinfo", "eventfd-id:", "a number that the kernel draws" },
	{ "fdinfo", "it_value:", "time goes on" },
	{ "fdinfo", "ticks:", "time goes on" },
	{ "fdinfo", "Pid:", "the last of NSpid has it" },
};

/*
 * Numbers that never go back, and that the last steps of a restart may add
 * so much to.
 */
static const struct {
	const char *file, *start;
	unsigned long most;
} counts[] = {
	{ "status", "VmHWM:", 1024 },
	{ "status", "voluntary_ctxt_switches:", 100 },
	{ "status", "nonvoluntary_ctxt_switches:", 100 },
	{ "stat", "10 ", 1000 },	/* faults */
	{ "stat", "12 ", 1000 },
	{ "stat", "14 ", 100 },		/* CPU time */
	{ "stat", "15 ", 100 },
};

/* One thing that was read of one task. */
struct fact {
	char name[96];
	char *text;
};

struct cr_facts {
	struct fact *facts;
	size_t count, room;
	bool container;
	bool keeps_start;
	bool ticks;
};

#define TASKS_MAX	512
#define TEXT_MAX	(512 * 1024)

static struct task {
	pid_t tid;		/* as /proc has it */
	int key;		/* as the namespace of the root has it */
	int parent;
	bool ended;
} tasks[TASKS_MAX];

static size_t task_count;
static bool is_zombie;		/* the task that is looked at */
static char raw[TEXT_MAX], text[TEXT_MAX];

__printf(3, 4)
static void add(struct cr_facts *all, const char *content, const char *fmt, ...)
{
	struct fact *fact;
	va_list args;

	if (all->count == all->room) {
		all->room = all->room * 2 + 64;
		all->facts = realloc(all->facts,
				     all->room * sizeof(*all->facts));
		if (!all->facts)
			abort();
	}
	fact = &all->facts[all->count++];
	va_start(args, fmt);
	vsnprintf(fact->name, sizeof(fact->name), fmt, args);
	va_end(args);
	fact->text = strdup(content);
}

void cr_forget(struct cr_facts *all)
{
	while (all && all->count)
		free(all->facts[--all->count].text);
	if (all)
		free(all->facts);
	free(all);
}

static ssize_t read_proc(pid_t tid, const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
	return cr_slurp(path, raw, sizeof(raw));
}

/* How many pid namespaces the root of the tree has a pid in. */
static int depth;

/* How many numbers a line has. */
static int count_numbers(const char *at)
{
	int count = 0;

	for (; *at && *at != '\n'; at++)
		count += *at == '\t';
	return count;
}

/* The number that the namespace of the root has, in a line of status. */
static int number_of(const char *line)
{
	const char *from = raw, *found = NULL;
	size_t len = strlen(line);
	int i;

	while (from) {
		if (!strncmp(from, line, len))
			found = from;
		from = strchr(from, '\n');
		from = from ? from + 1 : NULL;
	}
	if (!found)
		return -1;
	if (!depth)
		depth = count_numbers(found);
	for (i = 0; i < depth && found; i++)
		found = strchr(found + 1, '\t');
	return found ? atoi(found + 1) : -1;
}

static void find_tasks(pid_t pid, int parent)
{
	char path[96], list[4096], *at, *end;
	struct dirent *entry;
	size_t first = task_count, i;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)) && task_count < TASKS_MAX) {
		struct task *task = &tasks[task_count];

		task->tid = atoi(entry->d_name);
		if (!task->tid || read_proc(task->tid, "status") < 0)
			continue;
		task->key = number_of("NSpid:");
		task->parent = parent;
		task_count++;
	}
	if (dir)
		closedir(dir);

	for (i = task_count; i-- > first;) {
		pid_t tid = tasks[i].tid;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid,
			 tid);
		if (cr_slurp(path, list, sizeof(list)) <= 0)
			continue;
		for (at = list; (pid_t)strtol(at, &end, 10) && end != at;
		     at = end)
			find_tasks(strtol(at, NULL, 10), tasks[i].key);
	}
}

static int compare_tasks(const void *a, const void *b)
{
	return ((const struct task *)a)->key - ((const struct task *)b)->key;
}

static bool is_compared(const char *file, const char *line)
{
	size_t i, len = strlen(file);

	for (i = 0; i < ARRAY_SIZE(not_compared); i++) {
		const char *name = not_compared[i].file;

		if (strncmp(name, file, len) ||
		    (name[len] && (!is_zombie ||
				   strcmp(name + len, " of a zombie"))))
			continue;
		if (!strncmp(not_compared[i].start, line,
			     strlen(not_compared[i].start)))
			return false;
	}
	return true;
}

static unsigned long autogroups[64];

/* Numbers autogroups in the order in which they are met. */
static void number_autogroup(char *line)
{
	char *rest, *at = strchr(line, '-');
	unsigned long id = at ? strtoul(at + 1, &rest, 10) : 0;
	size_t i;

	if (!id)
		return;
	for (i = 0; i < ARRAY_SIZE(autogroups) - 1; i++)
		if (!autogroups[i] || autogroups[i] == id)
			break;
	autogroups[i] = id;
	*at = '0' + i;
	memmove(at + 1, rest, strlen(rest) + 1);
}

/* Takes out of a line what is another number each time. */
static void edit(const struct cr_facts *all, const char *file, char *line)
{
	char *at, *end;
	int i;

	if ((!strcmp(file, "status") || !strcmp(file, "fdinfo")) &&
	    !strncmp(line, "NS", 2)) {
		/* Numbers of outer namespaces are not kept. */
		at = strchr(line, '\t');
		end = at;
		for (i = 1; end && i < depth; i++)
			end = strchr(end + 1, '\t');
		if (at && !end)
			end = strrchr(line, '\t');
		if (at && end != at)
			memmove(at, end, strlen(end) + 1);
	}
	if ((!strcmp(file, "maps") || !strcmp(file, "smaps")) &&
	    (strstr(line, " (deleted)") || strstr(line, "[anon_shmem:"))) {
		/* Device and inode of a file without a name. */
		at = strchr(line, ':');
		end = strpbrk(line, "/[");
		if (at && end && end > at)
			memmove(at, end, strlen(end) + 1);
	}
	if (!strcmp(file, "smaps") && !strncmp(line, "VmFlags:", 8)) {
		/* What soft-dirty pages there are. */
		at = strstr(line, " sd");
		if (at)
			memmove(at, at + 3, strlen(at + 3) + 1);
	}
	if (!strcmp(file, "fdinfo")) {
		/* The inode behind an item of epoll. */
		at = !strncmp(line, "tfd:", 4) ? strstr(line, " pos:") : NULL;
		if (at)
			*at = '\0';
	}
	if (!strcmp(file, "fdinfo") && !strncmp(line, "lock:", 5) &&
	    all->container) {
		/* Who has taken it, in the driver's namespace: the fifth word. */
		at = strstr(line, " READ ");
		if (!at)
			at = strstr(line, " WRITE ");
		at = at ? strchr(at + 1, ' ') : NULL;
		end = at ? strchr(at + 1, ' ') : NULL;
		if (end)
			memmove(at, end, strlen(end) + 1);
	}
	if (!strcmp(file, "numa_maps")) {
		/* Address and policy stand before which pages there are. */
		at = strchr(line, ' ');
		at = at ? strchr(at + 1, ' ') : NULL;
		if (at)
			*at = '\0';
	}
	if (!strcmp(file, "autogroup"))
		number_autogroup(line);
	if (!strcmp(file, "timers") && all->container) {
		at = !strncmp(line, "notify:", 7) ? strrchr(line, '.') : NULL;
		if (at)
			*at = '\0';
	}
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char **)a, *(char **)b);
}

/* The items of an epoll set stand in the order of addresses of the kernel. */
static void sort_items(void)
{
	static char *lines[4096], copy[sizeof(text)];
	char *line, *out = text;
	size_t count = 0, i;

	strcpy(copy, text);
	for (line = strtok(copy, "\n"); line && count < ARRAY_SIZE(lines);
	     line = strtok(NULL, "\n"))
		lines[count++] = line;
	qsort(lines, count, sizeof(*lines), compare_lines);
	for (i = 0; i < count; i++)
		out = stpcpy(stpcpy(out, lines[i]), "\n");
}

/* From raw to text: what is compared. */
static bool is_pending(const char *file, const char *line)
{
	return (!strcmp(file, "status") && strstr(line, "Pnd:")) ||
	       (!strcmp(file, "stat") && !strncmp(line, "31 ", 3));
}

static void filter(const struct cr_facts *all, const char *file)
{
	char *line = raw, *next, *out = text;

	for (; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (!is_compared(file, line) ||
		    (all->ticks && is_pending(file, line)) ||
		    (!all->keeps_start && !strcmp(file, "stat") &&
		     !strncmp(line, "22 ", 3)))
			continue;
		edit(all, file, line);
		out = stpcpy(stpcpy(out, line), "\n");
	}
	*out = '\0';
	if (!strcmp(file, "fdinfo") && strstr(text, "tfd:"))
		sort_items();
}

/* Makes lines of what is not: strings, words, or bytes. */
static void make_lines(const char *file, size_t len)
{
	char *end = strrchr(raw, ')'), *at;
	unsigned int field = 3;
	size_t i;

	if (!strcmp(file, "stat") && end) {
		char *out = text;

		out += sprintf(out, "2 %s\n", strchr(raw, '('));
		*strrchr(text, ')') = '\0';
		out = stpcpy(text + strlen(text), ")\n");
		end[strcspn(end, "\n")] = '\0';
		for (at = strtok(end + 1, " "); at; at = strtok(NULL, " "))
			out += sprintf(out, "%u %s\n", field++, at);
		strcpy(raw, text);
	} else if (!strcmp(file, "auxv")) {
		char *out = text;

		for (i = 0; i + 16 <= len; i += 16)
			out += sprintf(out, "%lu %#lx\n",
				       *(unsigned long *)(raw + i),
				       *(unsigned long *)(raw + i + 8));
		*out = '\0';
		strcpy(raw, text);
	} else {
		for (i = 0; i < len; i++)
			if (!raw[i])
				raw[i] = '\n';
	}
}

/* What a link names, without the number of a file that has no name. */
static ssize_t read_link(pid_t tid, const char *name)
{
	char path[96], *at;
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
	len = readlink(path, text, PATH_MAX);
	if (len < 0)
		return len;
	text[len] = '\0';
	at = *text == '/' || !strncmp(name, "ns/", 3) ? NULL :
							 strchr(text, '[');
	if (at && at > text && at[-1] == ':')
		*at = '\0';
	return len;
}

static void observe_fds(struct cr_facts *all, const struct task *task)
{
	char path[96];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", task->tid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		bool named;
		char *ino;

		snprintf(path, sizeof(path), "fd/%.16s", entry->d_name);
		if (entry->d_name[0] == '.' || read_link(task->tid, path) < 0)
			continue;
		named = *text == '/' && !strstr(text, " (deleted)");
		add(all, text, "%d %s", task->key, path);

		snprintf(path, sizeof(path), "fdinfo/%.16s", entry->d_name);
		if (read_proc(task->tid, path) < 0)
			continue;
		/* What has no name has another inode. */
		ino = named ? NULL : strstr(raw, "ino:");
		if (ino)
			memmove(ino, strchr(ino, '\n') + 1,
				strlen(strchr(ino, '\n') + 1) + 1);
		filter(all, "fdinfo");
		add(all, text, "%d %s", task->key, path);
	}
	if (dir)
		closedir(dir);
}

/* Calls that take a pid. */
static void observe_calls(struct cr_facts *all, const struct task *task)
{
	unsigned long words[32] = { }, mask[128] = { };
	void *head = NULL;
	size_t len = 0, i;
	char *out = text;
	long ret;

	ret = syscall(SYS_sched_getattr, task->tid, words, sizeof(words), 0);
	out += sprintf(out, "sched_getattr %ld:", ret);
	for (i = 0; i < 16; i++)
		out += sprintf(out, " %lx", words[i]);
	ret = syscall(SYS_sched_getaffinity, task->tid, sizeof(mask), mask);
	out += sprintf(out, "\nsched_getaffinity %ld: %lx\n", ret, mask[0]);
	out += sprintf(out, "getpriority %ld\n",
		       syscall(SYS_getpriority, PRIO_PROCESS, task->tid));
	out += sprintf(out, "ioprio_get %ld\n",
		       syscall(SYS_ioprio_get, 1, task->tid));
	ret = syscall(SYS_get_robust_list, task->tid, &head, &len);
	sprintf(out, "get_robust_list %ld %p %zu\n", ret, head, len);
	add(all, text, "%d calls", task->key);
}

/*
 * Which task before it shares something with it. One that has ended shares
 * nothing any more that a program could tell.
 */
static void observe_sharing(struct cr_facts *all, size_t n)
{
	static const struct {
		const char *name;
		int type;
	} kinds[] = {
		{ "memory", KCMP_VM }, { "descriptors", KCMP_FILES },
		{ "directories", KCMP_FS }, { "handlers", KCMP_SIGHAND },
		{ "I/O context", KCMP_IO },
	};
	char *out = text;
	size_t i, kind;

	*out = '\0';
	tasks[n].ended = is_zombie;
	for (kind = 0; !is_zombie && kind < ARRAY_SIZE(kinds); kind++) {
		for (i = 0; i < n && i < 32; i++) {
			if (tasks[i].ended ||
			    syscall(SYS_kcmp, tasks[i].tid, tasks[n].tid,
				    kinds[kind].type, 0, 0))
				continue;
			out += sprintf(out, "%s: %d\n", kinds[kind].name,
				       tasks[i].key);
			break;
		}
	}
	add(all, text, "%d shares", tasks[n].key);
}

/* Who is in the same user namespace, which has another number afterwards. */
static void observe_user_ns(struct cr_facts *all, size_t n)
{
	char own[64] = "", link[64];
	ssize_t len;
	size_t i;

	len = read_link(tasks[n].tid, "ns/user");
	if (len < 0 || len >= (ssize_t)sizeof(link))
		return;
	strcpy(link, text);
	if (readlink("/proc/self/ns/user", own, sizeof(own) - 1) > 0 &&
	    strcmp(own, link))
		for (i = 0; i <= n; i++)
			if (read_link(tasks[i].tid, "ns/user") == len &&
			    !strcmp(text, link))
				break;
	if (strcmp(own, link))
		sprintf(text, "that of %d\n", tasks[i].key);
	add(all, text, "%d ns/user", tasks[n].key);
}

/* A restarted container has a time namespace of its own. */
static bool is_skipped(const struct cr_facts *all, const char *name)
{
	return all->container && (!strcmp(name, "ns/time") ||
				  !strcmp(name, "timens_offsets"));
}

static void observe_task(struct cr_facts *all, size_t n)
{
	const struct task *task = &tasks[n];
	ssize_t len;
	size_t i;

	is_zombie = read_proc(task->tid, "status") > 0 &&
		    strstr(raw, "\nState:\tZ");
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (is_skipped(all, files[i]))
			continue;
		len = read_proc(task->tid, files[i]);
		if (len < 0)
			continue;
		make_lines(files[i], len);
		filter(all, files[i]);
		add(all, text, "%d %s", task->key, files[i]);
	}
	for (i = 0; i < ARRAY_SIZE(links); i++)
		if (!is_skipped(all, links[i]) &&
		    read_link(task->tid, links[i]) >= 0)
			add(all, text, "%d %s", task->key, links[i]);
	sprintf(text, "%d\n", task->parent);
	add(all, text, "%d parent", task->key);
	observe_user_ns(all, n);
	observe_fds(all, task);
	observe_calls(all, task);
	observe_sharing(all, n);
}

struct cr_facts *cr_observe(struct cr_run *run)
{
	struct cr_facts *all = calloc(1, sizeof(*all));
	size_t i;

	if (!all)
		abort();
	all->container = run->mode == CR_CONTAINER;
	/* A container has its own clocks, and who becomes a task keeps its start. */
	all->keeps_start = run->mode == CR_SUBTREE;
	all->ticks = run->scenario->ticks;
	task_count = 0;
	depth = 0;
	memset(autogroups, 0, sizeof(autogroups));
	find_tasks(run->root, 0);
	qsort(tasks, task_count, sizeof(*tasks), compare_tasks);
	for (i = 0; i < task_count; i++)
		observe_task(all, i);
	return all;
}

static const struct fact *find(const struct cr_facts *all, const char *name)
{
	size_t i;

	for (i = 0; i < all->count; i++)
		if (!strcmp(all->facts[i].name, name))
			return &all->facts[i];
	return NULL;
}

static bool is_counted(const char *name, const char *was, const char *is)
{
	const char *file = strchr(name, ' ') + 1;
	unsigned long before, now;
	size_t i, len;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		len = strlen(counts[i].start);
		if (strcmp(counts[i].file, file) ||
		    strncmp(counts[i].start, was, len) ||
		    strncmp(counts[i].start, is, len))
			continue;
		before = strtoul(was + len, NULL, 10);
		now = strtoul(is + len, NULL, 10);
		return before <= now && now - before <= counts[i].most;
	}
	return false;
}

/* Steps over the lines that are the same; true if that are all. */
static bool same_text(const char *name, const char **was, const char **is)
{
	size_t a, b;

	while (**was && **is) {
		a = strcspn(*was, "\n");
		b = strcspn(*is, "\n");
		if ((a != b || strncmp(*was, *is, a)) &&
		    !is_counted(name, *was, *is))
			return false;
		*was += a + ((*was)[a] != '\0');
		*is += b + ((*is)[b] != '\0');
	}
	return **was == **is;
}

/* Tells the first lines that differ. */
static void tell(struct cr_run *run, const char *name, const char *was,
		 const char *is)
{
	size_t a, b;

	same_text(name, &was, &is);
	a = strcspn(was, "\n");
	b = strcspn(is, "\n");
	cr_failed(run, "forgotten: task %s: '%.*s' was '%.*s'", name, (int)b,
		  is, (int)a, was);
}

/* Whether both are the same; tells the differences if asked to. */
bool cr_same(struct cr_run *run, const struct cr_facts *was,
	     const struct cr_facts *is, bool told)
{
	const struct fact *other;
	unsigned int differ = 0;
	const char *a, *b;
	size_t i;

	for (i = 0; i < was->count; i++) {
		other = find(is, was->facts[i].name);
		a = was->facts[i].text;
		b = other ? other->text : NULL;
		if (b && same_text(was->facts[i].name, &a, &b))
			continue;
		if (told && differ < 8)
			tell(run, was->facts[i].name, was->facts[i].text,
			     other ? other->text : "(not there)");
		differ++;
	}
	for (i = 0; i < is->count; i++) {
		if (find(was, is->facts[i].name))
			continue;
		if (told && differ < 8)
			tell(run, is->facts[i].name, "(not there)",
			     is->facts[i].text);
		differ++;
	}
	return !differ;
}

/*
 * What only the task itself can ask for.
 */
#ifndef PR_GET_MDWE
#define PR_GET_MDWE			66
#endif
#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE		68
#endif
#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS	77
#endif
#ifndef PR_RSEQ_SLICE_EXTENSION
#define PR_RSEQ_SLICE_EXTENSION		79
#endif
#ifndef SO_MEMINFO
#define SO_MEMINFO			55
#endif
#define ARCH_GET_CPUID_FAULT		0x1011
#define ARCH_GET_XCOMP_PERM_BITS	0x1022
#define ARCH_GET_UNTAG			0x4001

/* Calls that return what they have to say. */
static const struct {
	const char *name;
	long nr;
	unsigned long args[4];
} returning[] = {
#define PRCTL(option, ...)	{ #option, SYS_prctl, { option, ##__VA_ARGS__ } }
	PRCTL(PR_GET_DUMPABLE),
	PRCTL(PR_GET_KEEPCAPS),
	PRCTL(PR_GET_SECCOMP),
	PRCTL(PR_GET_TIMERSLACK),
	PRCTL(PR_GET_TIMING),
	PRCTL(PR_GET_SECUREBITS),
	PRCTL(PR_GET_NO_NEW_PRIVS),
	PRCTL(PR_GET_THP_DISABLE),
	PRCTL(PR_GET_SPECULATION_CTRL, 0),
	PRCTL(PR_GET_SPECULATION_CTRL, 1),
	PRCTL(PR_GET_SPECULATION_CTRL, 2),
	PRCTL(PR_GET_IO_FLUSHER),
	PRCTL(PR_GET_MDWE),
	PRCTL(PR_GET_MEMORY_MERGE),
	PRCTL(PR_MCE_KILL_GET),
	PRCTL(PR_TIMER_CREATE_RESTORE_IDS, 2),
	PRCTL(PR_RSEQ_SLICE_EXTENSION, 1),
#ifdef __x86_64__
	{ "ARCH_GET_CPUID", SYS_arch_prctl, { ARCH_GET_CPUID_FAULT } },
#endif
	{ "personality", SYS_personality, { 0xffffffff } },
	{ "getpid", SYS_getpid },
	{ "gettid", SYS_gettid },
	{ "getpgid", SYS_getpgid },
	{ "getsid", SYS_getsid },
	{ "session keyring", SYS_keyctl,
	  { KEYCTL_GET_KEYRING_ID, (unsigned long)KEY_SPEC_SESSION_KEYRING } },
	{ "process keyring", SYS_keyctl,
	  { KEYCTL_GET_KEYRING_ID, (unsigned long)KEY_SPEC_PROCESS_KEYRING } },
	{ "thread keyring", SYS_keyctl,
	  { KEYCTL_GET_KEYRING_ID, (unsigned long)KEY_SPEC_THREAD_KEYRING } },
};

/* Calls that write what they have to say to a buffer, which is one argument. */
static const struct {
	const char *name;
	long nr;
	unsigned int at;
	unsigned long args[5];
} writing[] = {
	{ "PR_GET_PDEATHSIG", SYS_prctl, 1, { PR_GET_PDEATHSIG } },
	{ "PR_GET_TSC", SYS_prctl, 1, { PR_GET_TSC } },
	{ "PR_GET_NAME", SYS_prctl, 1, { PR_GET_NAME } },
	{ "PR_GET_CHILD_SUBREAPER", SYS_prctl, 1, { PR_GET_CHILD_SUBREAPER } },
	{ "PR_GET_TID_ADDRESS", SYS_prctl, 1, { PR_GET_TID_ADDRESS } },
	{ "sigaltstack", SYS_sigaltstack, 1, { 0 } },
	{ "rt_sigprocmask", SYS_rt_sigprocmask, 2, { 0, 0, 0, 8 } },
	{ "getgroups", SYS_getgroups, 1, { 100 } },
	{ "getcwd", SYS_getcwd, 0, { 0, 1000 } },
	{ "session keyring described", SYS_keyctl, 2,
	  { KEYCTL_DESCRIBE, (unsigned long)KEY_SPEC_SESSION_KEYRING, 0, 1000 } },
	{ "get_mempolicy", SYS_get_mempolicy, 0, { 0 } },
#ifdef __x86_64__
	{ "ARCH_GET_FS", SYS_arch_prctl, 1, { 0x1003 } },
	{ "ARCH_GET_GS", SYS_arch_prctl, 1, { 0x1004 } },
	{ "ARCH_GET_XCOMP_PERM", SYS_arch_prctl, 1,
	  { ARCH_GET_XCOMP_PERM_BITS } },
	{ "ARCH_GET_UNTAG_MASK", SYS_arch_prctl, 1, { ARCH_GET_UNTAG } },
	{ "modify_ldt", SYS_modify_ldt, 1, { 0, 0, 1024 } },
#endif
};

#define SELF_MAX	2048

struct word {
	char name[56];
	long ret;
	uint64_t sum;
};

static struct word words[2][SELF_MAX];
static size_t word_count;

static void note(struct word *list, const char *name, int n, long ret,
		 const void *data, size_t len)
{
	const unsigned char *bytes = data;
	struct word *word;

	if (word_count == SELF_MAX)
		return;
	word = &list[word_count++];
	snprintf(word->name, sizeof(word->name), "%s %d", name, n);
	word->ret = ret < 0 ? -errno : ret;
	word->sum = 14695981039346656037ULL;
	while (len--)
		word->sum = (word->sum ^ *bytes++) * 1099511628211ULL;
}

/* Options that are another number each time, or that change what they read. */
static const struct {
	int level, name;
	const char *why;
} not_asked[] = {
	{ SOL_SOCKET, SO_ERROR, "takes the error" },
	{ SOL_SOCKET, 56, "a number of a device (SO_INCOMING_NAPI_ID)" },
	{ SOL_SOCKET, 57, "a number that the kernel draws (SO_COOKIE)" },
	{ SOL_SOCKET, 77, "makes a descriptor (SO_PEERPIDFD)" },
	{ SOL_TCP, 24, "time goes on (TCP_TIMESTAMP)" },
	{ SOL_TCP, 28, "takes what it tells (TCP_SAVED_SYN)" },
	{ SOL_TCP, 33, "keys of the machine (TCP_FASTOPEN_KEY)" },
	{ SOL_TCP, 35, "maps memory (TCP_ZEROCOPY_RECEIVE)" },
};

static bool is_asked(int level, int name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(not_asked); i++)
		if (not_asked[i].level == level && not_asked[i].name == name)
			return false;
	return true;
}

/* All that a socket tells. */
static void ask_socket(struct word *list, int fd)
{
	static const struct {
		int level, most;
	} levels[] = {
		{ SOL_SOCKET, 90 }, { SOL_IP, 63 }, { SOL_TCP, 50 },
		{ SOL_UDP, 110 }, { SOL_IPV6, 80 },
	};
	static unsigned char buf[1024];
	socklen_t len = sizeof(buf);
	struct stat st;
	char what[48];
	size_t i;
	int name;
	long ret;

	memset(buf, 0, sizeof(buf));
	ret = getsockname(fd, (struct sockaddr *)buf, &len);
	note(list, "getsockname", fd, ret, buf, sizeof(buf));
	if (fstat(fd, &st))
		memset(&st, 0, sizeof(st));
	note(list, "mode of socket", fd, st.st_mode, NULL, 0);
	note(list, "owner of socket", fd, st.st_uid, NULL, 0);
	note(list, "group of socket", fd, st.st_gid, NULL, 0);
	note(list, "flags of socket", fd, fcntl(fd, F_GETFL), NULL, 0);
	for (i = 0; i < ARRAY_SIZE(levels); i++) {
		for (name = 0; name <= levels[i].most; name++) {
			if (!is_asked(levels[i].level, name))
				continue;
			memset(buf, 0, sizeof(buf));
			len = sizeof(buf);
			ret = getsockopt(fd, levels[i].level, name, buf, &len);
			if (ret < 0 &&
			    (errno == ENOPROTOOPT || errno == EOPNOTSUPP))
				continue;
			/* When it last sent and received something. */
			if (levels[i].level == SOL_TCP && name == TCP_INFO)
				memset(buf + 44, 0, 16);
			/* Memory that it has at hand. */
			if (levels[i].level == SOL_SOCKET && name == SO_MEMINFO)
				memset(buf + 16, 0, 4);
			snprintf(what, sizeof(what), "socket %d level %d option",
				 fd, levels[i].level);
			note(list, what, name, ret ? ret : (long)len, buf,
			     sizeof(buf));
		}
	}
}

static void ask_sockets(struct word *list)
{
	socklen_t len;
	int fd, type;

	for (fd = 0; fd < 256; fd++) {
		len = sizeof(type);
		if (!getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len))
			ask_socket(list, fd);
	}
}

static void ask_all(struct word *list)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct itimerval timer;
	unsigned long args[5];
	size_t i, j;
	long ret;

	static unsigned char buf[1024];

	word_count = 0;
	for (i = 0; i < ARRAY_SIZE(returning); i++) {
		const unsigned long *a = returning[i].args;

		ret = syscall(returning[i].nr, a[0], a[1], a[2], a[3], 0UL);
		/* A new user namespace has new keyrings. */
		if (cr_in_user_ns && returning[i].nr == SYS_keyctl)
			ret = ret > 0;
		note(list, returning[i].name, i, ret, NULL, 0);
	}
	for (i = 0; i < ARRAY_SIZE(writing); i++) {
		memset(buf, 0, sizeof(buf));
		for (j = 0; j < ARRAY_SIZE(args); j++)
			args[j] = j == writing[i].at ? (unsigned long)buf :
						       writing[i].args[j];
		ret = syscall(writing[i].nr, args[0], args[1], args[2], args[3],
			      args[4]);
		note(list, writing[i].name, i, ret, buf, sizeof(buf));
	}
	for (i = 1; i < 65; i++) {
		memset(buf, 0, sizeof(buf));
		ret = syscall(SYS_rt_sigaction, i, NULL, buf, 8);
		note(list, "rt_sigaction", i, ret, buf, sizeof(buf));
	}
	for (i = 0; i <= CAP_LAST_CAP; i++) {
		note(list, "PR_CAPBSET_READ", i, prctl(PR_CAPBSET_READ, i),
		     NULL, 0);
		note(list, "PR_CAP_AMBIENT", i,
		     prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0),
		     NULL, 0);
	}
	memset(buf, 0, sizeof(buf));
	ret = syscall(SYS_capget, &header, buf);
	note(list, "capget", 0, ret, buf, sizeof(buf));
	for (i = 0; i < 3; i++) {
		ret = getitimer(i, &timer);
		note(list, "getitimer", i, ret, &timer.it_interval,
		     sizeof(timer.it_interval));
	}
	ret = umask(0);
	umask(ret);
	note(list, "umask", 0, ret, NULL, 0);
	ask_sockets(list);
}

/* Notes what there is to ask when a check is over, ... */
void cr_observe_self(void)
{
	ask_all(words[0]);
}

/* ... and whether that has changed before the next one. */
void cr_compare_self(void)
{
	const struct word *was, *is;
	size_t i;

	ask_all(words[1]);
	for (i = 0; i < word_count; i++) {
		was = &words[0][i];
		is = &words[1][i];
		if (was->ret != is->ret || was->sum != is->sum ||
		    strcmp(was->name, is->name))
			cr_note(__FILE__, __LINE__,
				"forgotten: %s gives %ld, not %ld, or other bytes",
				is->name, is->ret, was->ret);
	}
}
