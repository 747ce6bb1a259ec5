// SPDX-License-Identifier: GPL-2.0
/* Asynchronous I/O: io_setup(2), io_submit(2), io_getevents(2). */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <linux/aio_abi.h>

#include "cr.h"

#define BLOCKS	64
#define SIZE	512

/* The beginning of what a context's address leads to; see fs/aio.c. */
struct ring {
	unsigned int id, nr, head, tail;
	unsigned int magic, compat, incompat, header_length;
	struct io_event events[];
};

#define MAGIC	0xa10a10a1

static int file, done;
static char (*buf)[SIZE];

static aio_context_t setup(unsigned int requests)
{
	aio_context_t context = 0;

	if (syscall(SYS_io_setup, requests, &context))
		cr_skip("no asynchronous I/O");
	return context;
}

static void open_file(int flags)
{
	size_t i;

	file = open(cr_path("file"), O_RDWR | O_CREAT | O_CLOEXEC | flags, 0600);
	NEED(file >= 0);
	buf = mmap(NULL, BLOCKS * SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(buf != MAP_FAILED);
	for (i = 0; i < BLOCKS; i++) {
		cr_pattern(buf[0], SIZE, i);
		NEED(pwrite(file, buf[0], SIZE, i * SIZE) == SIZE);
	}
	done = eventfd(0, EFD_CLOEXEC);
	NEED(done >= 0);
}

/* Reads a block of the file; data is its number. */
static bool submit(aio_context_t context, unsigned int block)
{
	struct iocb cb = {
		.aio_data = block,
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = file,
		.aio_buf = (unsigned long)buf[block],
		.aio_nbytes = SIZE,
		.aio_offset = block * SIZE,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = done,
	}, *cbs = &cb;

	memset(buf[block], 0, SIZE);
	return syscall(SYS_io_submit, context, 1, &cbs) == 1;
}

static void await_events(uint64_t want)
{
	uint64_t n;

	while (want) {
		NEED(read(done, &n, sizeof(n)) == sizeof(n));
		want -= n;
	}
}

static long take(aio_context_t context, long min, long max, struct io_event *events)
{
	struct timespec none = { };

	return syscall(SYS_io_getevents, context, min, max, events,
		       min ? NULL : &none);
}

static void take_block(aio_context_t context, unsigned int block)
{
	struct io_event event;

	CHECK_EQ(take(context, 0, 1, &event), 1);
	CHECK_EQ(event.data, block);
	CHECK_EQ(event.res, SIZE);
	CHECK_PATTERN(buf[block], SIZE, block);
}

/* Events that nobody has taken: some are in the ring, and it has turned round. */
static aio_context_t context, other;
static unsigned int ids[2];

static void fill(aio_context_t to)
{
	unsigned int i;

	for (i = 0; i < 7; i++)
		NEED(submit(to, i + 3));
	await_events(7);
}

static void events_setup(void)
{
	struct io_event events[8];
	aio_context_t between;
	int i;

	open_file(0);
	context = setup(200);
	between = setup(50);
	other = setup(64);
	NEED(!syscall(SYS_io_destroy, between));
	for (i = 0; i < 100; i++) {
		fill(context);
		NEED(take(context, 7, 7, events) == 7);
	}
	fill(context);
	fill(other);
	ids[0] = ((struct ring *)context)->id;
	ids[1] = ((struct ring *)other)->id;
	NEED(ids[0] == 0 && ids[1] == 2);
}

static void check_context(aio_context_t which)
{
	struct io_event event;
	int i;

	for (i = 0; i < 7; i++)
		take_block(which, i + 3);
	CHECK_EQ(take(which, 0, 1, &event), 0);
	fill(which);
}

static void events_check(enum cr_phase phase)
{
	CHECK_EQ(((struct ring *)context)->id, ids[0]);
	CHECK_EQ(((struct ring *)other)->id, ids[1]);
	check_context(context);
	check_context(other);
}

/* A program may look at the ring itself, and take events from there. */
static void ring_check(enum cr_phase phase)
{
	struct ring *ring = (void *)context;
	struct io_event *event;
	unsigned int i;

	CHECK_EQ(ring->magic, MAGIC);
	CHECK_EQ(ring->header_length, sizeof(*ring));
	CHECK_EQ((ring->tail + ring->nr - ring->head) % ring->nr, 7);
	for (i = 0; i < 7; i++) {
		event = &ring->events[ring->head];
		CHECK_EQ(event->data, i + 3);
		CHECK_EQ(event->res, SIZE);
		ring->head = (ring->head + 1) % ring->nr;
	}
	fill(context);
}

/* The slots are counted: as many requests as before are one too many. */
static unsigned int slots;

static unsigned int fill_up(void)
{
	unsigned int n;

	for (n = 0; submit(context, n % BLOCKS); n++)
		;
	CHECK_EQ(errno, EAGAIN);
	await_events(n);
	return n;
}

static void full_setup(void)
{
	open_file(0);
	context = setup(40);
	slots = fill_up();
	NEED(slots >= 40);
}

static void full_check(enum cr_phase phase)
{
	struct io_event event;
	unsigned int n;

	CHECK(!submit(context, 0));
	CHECK_EQ(errno, EAGAIN);
	for (n = 0; take(context, 0, 1, &event) == 1; n++)
		CHECK_EQ(event.data, n % BLOCKS);
	CHECK_EQ(n, slots);
	slots = fill_up();
	CHECK_EQ(slots, n);
}

/* A thread waits for events; as by a signal it may be interrupted. */
static int got;

static void *waiter(void *arg)
{
	struct io_event event;
	long ret;

	for (;;) {
		ret = take(context, 1, 1, &event);
		if (ret == -1 && errno == EINTR)
			continue;
		NEED(ret == 1);
		cr_set(&got, event.data);
	}
	return NULL;
}

static void waits_setup(void)
{
	pthread_t thread;

	open_file(0);
	context = setup(200);
	NEED(!pthread_create(&thread, NULL, waiter, NULL));
	cr_msleep(20);
}

static void waits_check(enum cr_phase phase)
{
	cr_set(&got, 0);
	NEED(submit(context, 5));
	cr_await(&got, 5);
	await_events(1);
	CHECK_PATTERN(buf[5], SIZE, 5);
}

/* Reads that go on all the time, past the page cache where there is a disk. */
static unsigned int rounds;
static int wrong;

static void *reader(void *arg)
{
	struct io_event event;
	unsigned int i;

	for (i = 0;; i = (i + 1) % 60) {
		NEED(submit(context, i));
		await_events(1);
		if (take(context, 0, 1, &event) != 1 || event.data != i ||
		    event.res != SIZE ||
		    cr_pattern_differs(buf[i], SIZE, i) != SIZE)
			cr_set(&wrong, wrong + 1);
		__atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void busy_setup(void)
{
	pthread_t thread;

	open_file(0);
	close(file);
	file = open(cr_path("file"), O_RDONLY | O_CLOEXEC | O_DIRECT);
	if (file < 0)
		file = open(cr_path("file"), O_RDONLY | O_CLOEXEC);
	NEED(file >= 0);
	context = setup(200);
	NEED(!pthread_create(&thread, NULL, reader, NULL));
}

static void busy_check(enum cr_phase phase)
{
	unsigned int was = __atomic_load_n(&rounds, __ATOMIC_RELAXED);
	int i;

	for (i = 0; i < 5000; i++) {
		if (__atomic_load_n(&rounds, __ATOMIC_RELAXED) >= was + 50)
			break;
		cr_msleep(2);
	}
	CHECK(i < 5000);
	CHECK_EQ(cr_get(&wrong), 0);
}

/* A ring that was moved has another name since. */
static void moved_setup(void)
{
	struct ring *ring;
	void *place;

	open_file(0);
	context = setup(200);
	ring = (void *)context;
	place = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(place != MAP_FAILED);
	ring = mremap(ring, (ring->nr * sizeof(ring->events[0]) + 4095) & ~4095UL,
		      (ring->nr * sizeof(ring->events[0]) + 4095) & ~4095UL,
		      MREMAP_MAYMOVE | MREMAP_FIXED, place);
	if (ring == MAP_FAILED)
		cr_skip("the ring cannot be moved");
	context = (unsigned long)ring;
	fill(context);
}

static void moved_check(enum cr_phase phase)
{
	check_context(context);
}

/* One that has been destroyed leaves nothing behind. */
static void destroyed_setup(void)
{
	open_file(0);
	context = setup(8);
	NEED(!syscall(SYS_io_destroy, context));
}

static void destroyed_check(enum cr_phase phase)
{
	struct io_event event;

	CHECK_EQ(take(context, 0, 1, &event), -1);
	CHECK_EQ(errno, EINVAL);
}

/* What does not end */
static int ends[2];

static void poll_setup(void)
{
	struct iocb cb = { .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = POLLIN };
	struct iocb *cbs = &cb;

	open_file(0);
	context = setup(200);
	NEED(!pipe(ends));
	cb.aio_fildes = ends[0];
	if (syscall(SYS_io_submit, context, 1, &cbs) != 1)
		cr_skip("no IOCB_CMD_POLL");
}

static void poll_check(enum cr_phase phase)
{
	struct io_event event;

	CHECK_EQ(take(context, 0, 1, &event), 0);
}

static void protected_setup(void)
{
	open_file(0);
	context = setup(200);
	NEED(!mprotect((void *)context, 4096, PROT_READ));
}

static void unmapped_setup(void)
{
	open_file(0);
	context = setup(200);
	NEED(!munmap((void *)context, 4096));
}

static void nothing_check(enum cr_phase phase)
{
}

static void in_mode(struct cr_run *run, unsigned long flags, unsigned long later)
{
	if (cr_start(run) && cr_check(run, CR_BEFORE) &&
	    cr_checkpoint(run, "image", flags) && cr_check(run, CR_AFTER) &&
	    cr_kill(run) && cr_restart(run, "image", later) &&
	    cr_check(run, CR_AGAIN) && cr_checkpoint(run, "second", flags) &&
	    cr_kill(run) && cr_restart(run, "second", later))
		cr_check(run, CR_AGAIN);
}

static void cow_drive(struct cr_run *run)
{
	in_mode(run, CHECKPOINT_COW, 0);
}

static void lazy_drive(struct cr_run *run)
{
	in_mode(run, 0, RESTART_LAZY);
}

static void tracked_drive(struct cr_run *run)
{
	in_mode(run, CHECKPOINT_TRACK, 0);
}

static const struct cr_scenario scenarios[] = {
	{ "aio.events", CR_ANY, events_setup, events_check },
	{ "aio.ring", CR_TREE, events_setup, ring_check },
	{ "aio.full", CR_TREE, full_setup, full_check },
	{ "aio.waits", CR_TREE, waits_setup, waits_check },
	{ "aio.busy", CR_TREE, busy_setup, busy_check, .goes_on = true },
	{ "aio.moved", CR_TREE, moved_setup, moved_check },
	{ "aio.destroyed", CR_TREE, destroyed_setup, destroyed_check },
	{ "aio.cow", CR_TREE, events_setup, events_check, .drive = cow_drive },
	{ "aio.lazy", CR_TREE, events_setup, events_check, .drive = lazy_drive },
	{ "aio.tracked", CR_TREE, events_setup, events_check,
	  .drive = tracked_drive },
	{ "aio.poll", CR_TREE, poll_setup, poll_check,
	  CR_REFUSED, "asynchronous I/O under way" },
	{ "aio.protected", CR_TREE, protected_setup, nothing_check,
	  CR_REFUSED, "has changed the mapping of a ring" },
	{ "aio.unmapped", CR_TREE, unmapped_setup, nothing_check,
	  CR_REFUSED, "has changed the mapping of a ring" },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
