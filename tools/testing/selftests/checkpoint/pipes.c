// SPDX-License-Identifier: GPL-2.0
/* Pipes and fifos, with what is in them. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "cr.h"

static int fds[2];

static int unread(int fd)
{
	int n;

	NEED(!ioctl(fd, FIONREAD, &n));
	return n;
}

/* Reads all that is there and writes it back. */
static void check_contents(int rfd, int wfd, const void *want, size_t len)
{
	static char buf[65536];

	NEED(len <= sizeof(buf));
	CHECK_EQ(unread(rfd), len);
	CHECK_EQ(read(rfd, buf, len), len);
	CHECK_MEM(buf, want, len);
	CHECK_EQ(unread(rfd), 0);
	CHECK_EQ(write(wfd, want, len), len);
}

static const char text[] = "not read yet";

static void contents_setup(void)
{
	NEED(!pipe(fds));
	NEED(write(fds[1], text, sizeof(text)) == sizeof(text));
}

static void contents_check(enum cr_phase phase)
{
	check_contents(fds[0], fds[1], text, sizeof(text));
}

static void empty_setup(void)
{
	NEED(!pipe2(fds, O_NONBLOCK));
}

static void empty_check(enum cr_phase phase)
{
	struct pollfd p[2] = {
		{ .fd = fds[0], .events = POLLIN },
		{ .fd = fds[1], .events = POLLOUT },
	};
	char c;

	CHECK_EQ(unread(fds[0]), 0);
	CHECK_EQ(read(fds[0], &c, 1), -1);
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(poll(p, 2, 0), 1);
	CHECK_EQ(p[0].revents, 0);
	CHECK_EQ(p[1].revents, POLLOUT);
}

static char big[65536];

static void full_setup(void)
{
	NEED(!pipe2(fds, O_NONBLOCK));
	cr_pattern(big, sizeof(big), 1);
	NEED(fcntl(fds[1], F_GETPIPE_SZ) == sizeof(big));
	NEED(write(fds[1], big, sizeof(big)) == sizeof(big));
}

static void full_check(enum cr_phase phase)
{
	struct pollfd p = { .fd = fds[1], .events = POLLOUT };

	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_EQ(write(fds[1], big, 1), -1);
	CHECK_EQ(errno, EAGAIN);
	check_contents(fds[0], fds[1], big, sizeof(big));
}

/* Half of the first buffer is read: the rest does not begin at its start. */
static void partial_setup(void)
{
	NEED(!pipe(fds));
	cr_pattern(big, 10000, 2);
	NEED(write(fds[1], big, 10000) == 10000);
	NEED(read(fds[0], big, 1234) == 1234);
	cr_pattern(big, 10000, 2);
}

static void partial_check(enum cr_phase phase)
{
	check_contents(fds[0], fds[1], big + 1234, 10000 - 1234);
}

static void capacity_setup(void)
{
	NEED(!pipe(fds));
	NEED(fcntl(fds[1], F_SETPIPE_SZ, 1 << 18) == 1 << 18);
	NEED(write(fds[1], text, sizeof(text)) == sizeof(text));
}

static void capacity_check(enum cr_phase phase)
{
	CHECK_EQ(fcntl(fds[0], F_GETPIPE_SZ), 1 << 18);
	CHECK_EQ(fcntl(fds[1], F_GETPIPE_SZ), 1 << 18);
	check_contents(fds[0], fds[1], text, sizeof(text));
}

/* In packet mode a read gives one packet, whatever it asks for. */
static void packet_setup(void)
{
	NEED(!pipe2(fds, O_DIRECT));
	NEED(write(fds[1], "one", 3) == 3);
	NEED(write(fds[1], "second", 6) == 6);
}

static void packet_check(enum cr_phase phase)
{
	char buf[64];

	CHECK_EQ(fcntl(fds[0], F_GETFL) & O_DIRECT, 0);
	CHECK_EQ(fcntl(fds[1], F_GETFL) & O_DIRECT, O_DIRECT);
	CHECK_EQ(read(fds[0], buf, sizeof(buf)), 3);
	CHECK_MEM(buf, "one", 3);
	CHECK_EQ(read(fds[0], buf, sizeof(buf)), 6);
	CHECK_MEM(buf, "second", 6);
	CHECK_EQ(write(fds[1], "one", 3), 3);
	CHECK_EQ(write(fds[1], "second", 6), 6);
}

static void flags_setup(void)
{
	NEED(!pipe2(fds, O_CLOEXEC));
	NEED(!fcntl(fds[0], F_SETFL, O_NONBLOCK));
}

static void flags_check(enum cr_phase phase)
{
	const int settable = O_NONBLOCK | O_DIRECT | O_APPEND | O_ASYNC;

	CHECK_EQ(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fds[1], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fds[0], F_GETFL) & (O_ACCMODE | settable),
		 O_RDONLY | O_NONBLOCK);
	CHECK_EQ(fcntl(fds[1], F_GETFL) & (O_ACCMODE | settable), O_WRONLY);
}

static void hangup_setup(void)
{
	contents_setup();
	NEED(!close(fds[1]));
}

static void hangup_check(enum cr_phase phase)
{
	struct pollfd p = { .fd = fds[0], .events = POLLIN };
	char buf[64];

	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN | POLLHUP);
	/* The last look only: nobody can write it again. */
	if (phase == CR_AGAIN) {
		CHECK_EQ(read(fds[0], buf, sizeof(buf)), sizeof(text));
		CHECK_MEM(buf, text, sizeof(text));
		CHECK_EQ(read(fds[0], buf, sizeof(buf)), 0);
	}
}

static void broken_setup(void)
{
	NEED(!pipe(fds));
	NEED(!close(fds[0]));
}

static void broken_check(enum cr_phase phase)
{
	struct pollfd p = { .fd = fds[1], .events = POLLOUT };

	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLOUT | POLLERR);
}

/* A child that sends back what it gets, plus one. */
static int down[2], up[2];

static void echo_child(void *arg)
{
	unsigned char c;

	close(down[1]);
	close(up[0]);
	while (read(down[0], &c, 1) == 1) {
		c++;
		NEED(write(up[1], &c, 1) == 1);
	}
}

static void between_setup(void)
{
	NEED(!pipe(down) && !pipe(up));
	cr_fork(echo_child, NULL);
	close(down[0]);
	close(up[1]);
}

static void between_check(enum cr_phase phase)
{
	unsigned char c;
	int i;

	for (i = 0; i < 250; i++) {
		c = i;
		CHECK_EQ(write(down[1], &c, 1), 1);
		CHECK_EQ(read(up[0], &c, 1), 1);
		CHECK_EQ(c, i + 1);
	}
}

/* End of file is seen only when nobody in the tree has a writer any more. */
static void writers_child(void *arg)
{
	close(fds[0]);
	for (;;)
		pause();
}

static pid_t writer;

static void writers_setup(void)
{
	NEED(!pipe(fds));
	NEED(!fcntl(fds[0], F_SETFL, O_NONBLOCK));
	writer = cr_fork(writers_child, NULL);
	NEED(!close(fds[1]));
}

static void writers_check(enum cr_phase phase)
{
	struct pollfd p = { .fd = fds[0], .events = POLLIN };
	char c;

	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_EQ(read(fds[0], &c, 1), -1);
	CHECK_EQ(errno, EAGAIN);
	if (phase == CR_AGAIN) {
		CHECK_EQ(kill(writer, SIGKILL), 0);
		CHECK_EQ(poll(&p, 1, CR_TIMEOUT_MS), 1);
		CHECK_EQ(p.revents, POLLHUP);
		CHECK_EQ(read(fds[0], &c, 1), 0);
	}
}

static void fifo_setup(void)
{
	const char *path = cr_path("fifo");

	NEED(!mkfifo(path, 0600));
	fds[0] = open(path, O_RDONLY | O_NONBLOCK);
	fds[1] = open(path, O_WRONLY);
	NEED(fds[0] >= 0 && fds[1] >= 0);
	NEED(write(fds[1], text, sizeof(text)) == sizeof(text));
}

static void fifo_check(enum cr_phase phase)
{
	char buf[sizeof(text) + 1];
	struct stat want, got;
	int fd;

	check_contents(fds[0], fds[1], text, sizeof(text));
	NEED(!stat(cr_path("fifo"), &want) && !fstat(fds[0], &got));
	CHECK_EQ(got.st_ino, want.st_ino);
	CHECK_EQ(got.st_dev, want.st_dev);

	/* It is the fifo of that path, not only a pipe. */
	fd = open(cr_path("fifo"), O_WRONLY | O_NONBLOCK);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, "x", 1), 1);
	close(fd);
	CHECK_EQ(unread(fds[0]), sizeof(text) + 1);
	CHECK_EQ(read(fds[0], buf, sizeof(buf)), sizeof(buf));
	CHECK_EQ(buf[sizeof(text)], 'x');
	CHECK_EQ(write(fds[1], text, sizeof(text)), sizeof(text));
}

static void fifo_rdwr_setup(void)
{
	NEED(!mkfifo(cr_path("fifo"), 0600));
	fds[0] = open(cr_path("fifo"), O_RDWR);
	NEED(fds[0] >= 0);
	fds[1] = fds[0];
	NEED(write(fds[1], text, sizeof(text)) == sizeof(text));
}

static void fifo_rdwr_check(enum cr_phase phase)
{
	CHECK_EQ(fcntl(fds[0], F_GETFL) & O_ACCMODE, O_RDWR);
	check_contents(fds[0], fds[1], text, sizeof(text));
}

/* One end only: opening the other one again must not be waited for. */
static void fifo_reader_setup(void)
{
	NEED(!mkfifo(cr_path("fifo"), 0600));
	fds[0] = open(cr_path("fifo"), O_RDONLY | O_NONBLOCK);
	NEED(fds[0] >= 0);
	NEED(!fcntl(fds[0], F_SETFL, 0));
}

static void fifo_reader_check(enum cr_phase phase)
{
	char buf[8];

	CHECK_EQ(fcntl(fds[0], F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDONLY);
	CHECK_EQ(read(fds[0], buf, sizeof(buf)), 0);
	fds[1] = open(cr_path("fifo"), O_WRONLY | O_NONBLOCK);
	CHECK(fds[1] >= 0);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK_EQ(read(fds[0], buf, sizeof(buf)), 1);
	close(fds[1]);
}

static void fifo_writer_setup(void)
{
	fifo_reader_setup();
	fds[1] = open(cr_path("fifo"), O_WRONLY);
	NEED(fds[1] >= 0);
	NEED(!close(fds[0]));
}

static void fifo_writer_check(enum cr_phase phase)
{
	struct pollfd p = { .fd = fds[1], .events = POLLOUT };

	CHECK_EQ(fcntl(fds[1], F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_WRONLY);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLOUT | POLLERR);
}

/* What was spliced in from a file is the file's own pages. */
static void spliced_setup(void)
{
	off64_t offset = 100;
	int fd;

	cr_pattern(big, 10000, 3);
	cr_write_file(cr_path("file"), big, 10000);
	fd = open(cr_path("file"), O_RDONLY);
	NEED(fd >= 0 && !pipe(fds));
	NEED(splice(fd, &offset, fds[1], NULL, 9000, 0) == 9000);
	NEED(!close(fd));
}

static void spliced_check(enum cr_phase phase)
{
	static char buf[9000];
	int extra[2];

	CHECK_EQ(unread(fds[0]), 9000);
	NEED(!pipe(extra));
	CHECK_EQ(tee(fds[0], extra[1], sizeof(buf), 0), 9000);
	CHECK_EQ(read(extra[0], buf, sizeof(buf)), 9000);
	CHECK_MEM(buf, big + 100, 9000);
	close(extra[0]);
	close(extra[1]);
}

static const struct cr_scenario scenarios[] = {
	{ "pipe.contents", CR_ANY, contents_setup, contents_check },
	{ "pipe.empty", CR_ANY, empty_setup, empty_check },
	{ "pipe.full", CR_ANY, full_setup, full_check },
	{ "pipe.partly_read", CR_ANY, partial_setup, partial_check },
	{ "pipe.capacity", CR_ANY, capacity_setup, capacity_check },
	{ "pipe.packets", CR_ANY, packet_setup, packet_check },
	{ "pipe.flags", CR_ANY, flags_setup, flags_check },
	{ "pipe.writer_gone", CR_ANY, hangup_setup, hangup_check },
	{ "pipe.reader_gone", CR_ANY, broken_setup, broken_check },
	{ "pipe.parent_and_child", CR_TREE, between_setup, between_check },
	{ "pipe.eof_after_last_writer", CR_TREE, writers_setup, writers_check },
	{ "pipe.spliced", CR_ANY, spliced_setup, spliced_check },
	{ "fifo.contents", CR_ANY, fifo_setup, fifo_check },
	{ "fifo.read_write", CR_ANY, fifo_rdwr_setup, fifo_rdwr_check },
	{ "fifo.reader_only", CR_ANY, fifo_reader_setup, fifo_reader_check },
	{ "fifo.writer_only", CR_ANY, fifo_writer_setup, fifo_writer_check },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
