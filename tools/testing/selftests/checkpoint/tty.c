// SPDX-License-Identifier: GPL-2.0
/* Terminals: pairs of pseudo terminals, and the terminal of a session. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

#include "cr.h"

static int master, slave;
static char slave_name[64];

static void open_pair(void)
{
	unsigned int n;
	int unlock = 0;

	master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	NEED(master >= 0);
	NEED(!ioctl(master, TIOCSPTLCK, &unlock));
	NEED(!ioctl(master, TIOCGPTN, &n));
	snprintf(slave_name, sizeof(slave_name), "/dev/pts/%u", n);
	slave = open(slave_name, O_RDWR | O_NOCTTY);
	NEED(slave >= 0);
}

static void make_raw(void)
{
	struct termios t;

	NEED(!tcgetattr(slave, &t));
	cfmakeraw(&t);
	NEED(!tcsetattr(slave, TCSANOW, &t));
}

/* Waits until there is something to read; what is written may take a while. */
static bool readable(int fd, int timeout)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout) == 1 && p.revents & POLLIN;
}

static void check_input(int fd, const char *want)
{
	char buf[256];
	size_t len = 0;
	ssize_t n;

	while (len < strlen(want) && readable(fd, 2000)) {
		n = read(fd, buf + len, strlen(want) - len);
		if (n <= 0)
			break;
		len += n;
	}
	CHECK_EQ(len, strlen(want));
	CHECK_MEM(buf, want, strlen(want));
}

static void send(int fd, const char *text)
{
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
}

/* The pair is one, and keeps its number. */
static void pair_setup(void)
{
	open_pair();
	make_raw();
}

static void pair_check(enum cr_phase phase)
{
	struct stat want, got;
	unsigned int n;
	char name[64];

	CHECK_EQ(ioctl(master, TIOCGPTN, &n), 0);
	snprintf(name, sizeof(name), "/dev/pts/%u", n);
	CHECK_STR(name, slave_name);
	CHECK_EQ(isatty(slave), 1);
	CHECK_EQ(stat(slave_name, &want), 0);
	CHECK_EQ(fstat(slave, &got), 0);
	CHECK_EQ(got.st_rdev, want.st_rdev);
	CHECK_EQ(got.st_ino, want.st_ino);
	send(master, "to the slave");
	check_input(slave, "to the slave");
	send(slave, "to the master");
	check_input(master, "to the master");
}

/* What was written and not yet read, both ways. */
static void unread_setup(void)
{
	open_pair();
	make_raw();
	send(master, "down\3\4\n");
	send(slave, "up");
	NEED(readable(slave, 2000) && readable(master, 2000));
}

static void unread_check(enum cr_phase phase)
{
	check_input(slave, "down\3\4\n");
	check_input(master, "up");
	CHECK(!readable(slave, 0));
	CHECK(!readable(master, 0));
	send(master, "down\3\4\n");
	send(slave, "up");
	CHECK(readable(slave, 2000));
	CHECK(readable(master, 2000));
}

/* A line that is not finished can be edited still. */
static void line_setup(void)
{
	struct termios t;

	open_pair();
	NEED(!tcgetattr(slave, &t));
	t.c_lflag &= ~ECHO;
	NEED(!tcsetattr(slave, TCSANOW, &t));
	send(master, "a line\nhalf aX");
	NEED(readable(slave, 2000));
}

static void line_check(enum cr_phase phase)
{
	check_input(slave, "a line\n");
	CHECK(!readable(slave, 20));
	/* Erases the last letter, then ends the line. */
	send(master, "\177 line\n");
	check_input(slave, "half a line\n");
	send(master, "a line\nhalf aX");
	CHECK(readable(slave, 2000));
}

static struct termios termios_was;

static void termios_setup(void)
{
	open_pair();
	NEED(!tcgetattr(slave, &termios_was));
	termios_was.c_iflag = IXON | IGNPAR | IUTF8;
	termios_was.c_oflag = OPOST | ONLCR;
	termios_was.c_lflag = ISIG | ECHO;
	termios_was.c_cc[VMIN] = 7;
	termios_was.c_cc[VTIME] = 3;
	termios_was.c_cc[VINTR] = 'q';
	termios_was.c_cc[VERASE] = 'e';
	cfsetispeed(&termios_was, B9600);
	cfsetospeed(&termios_was, B9600);
	NEED(!tcsetattr(slave, TCSANOW, &termios_was));
	NEED(!tcgetattr(slave, &termios_was));
}

static void termios_check(enum cr_phase phase)
{
	struct termios t;

	CHECK_EQ(tcgetattr(slave, &t), 0);
	CHECK_EQ(t.c_iflag, termios_was.c_iflag);
	CHECK_EQ(t.c_oflag, termios_was.c_oflag);
	CHECK_EQ(t.c_cflag, termios_was.c_cflag);
	CHECK_EQ(t.c_lflag, termios_was.c_lflag);
	CHECK_MEM(t.c_cc, termios_was.c_cc, sizeof(t.c_cc));
	CHECK_EQ(cfgetospeed(&t), B9600);
}

static void winsize_setup(void)
{
	struct winsize size = { 43, 132, 640, 480 };

	open_pair();
	NEED(!ioctl(master, TIOCSWINSZ, &size));
}

static void winsize_check(enum cr_phase phase)
{
	struct winsize size = { };

	CHECK_EQ(ioctl(slave, TIOCGWINSZ, &size), 0);
	CHECK_EQ(size.ws_row, 43);
	CHECK_EQ(size.ws_col, 132);
	CHECK_EQ(size.ws_xpixel, 640);
	CHECK_EQ(size.ws_ypixel, 480);
}

/*
 * A session below the root has the slave as its terminal; the root has the
 * master. A line that is typed is answered, and ^C reaches the group that is
 * in the foreground.
 */
static struct session {
	int ready;
	pid_t pid;
	int interrupts;
	int turn;
	pid_t foreground, terminal_sid;
	int dev_tty;
} *session;

static void on_interrupt(int sig)
{
	cr_set(&session->interrupts, session->interrupts + 1);
}

static void session_leader(void *arg)
{
	struct sigaction act = { .sa_handler = on_interrupt };
	int fd;

	close(master);
	NEED(setsid() == getpid());
	NEED(!ioctl(slave, TIOCSCTTY, 0));
	NEED(!sigaction(SIGINT, &act, NULL));
	session->pid = getpid();
	cr_set(&session->ready, 1);
	for (;;) {
		if (cr_get(&session->turn) == 1) {
			session->foreground = tcgetpgrp(slave);
			session->terminal_sid = tcgetsid(slave);
			fd = open("/dev/tty", O_RDWR);
			session->dev_tty = fd >= 0 && !strcmp(ttyname(fd) ?: "",
							      "/dev/tty");
			if (fd >= 0)
				NEED(write(fd, "here", 4) == 4);
			close(fd);
			cr_set(&session->turn, 2);
		}
		cr_msleep(2);
	}
}

static void session_setup(void)
{
	open_pair();
	make_raw();
	session = cr_shared(sizeof(*session));
	cr_fork(session_leader, NULL);
	cr_await(&session->ready, 1);
}

static void session_check(enum cr_phase phase)
{
	struct termios t;

	cr_set(&session->turn, 1);
	cr_await(&session->turn, 2);
	CHECK_EQ(session->foreground, session->pid);
	CHECK_EQ(session->terminal_sid, session->pid);
	check_input(master, "here");

	cr_set(&session->interrupts, 0);
	NEED(!tcgetattr(slave, &t));
	t.c_lflag |= ISIG;
	t.c_cc[VINTR] = 3;
	NEED(!tcsetattr(slave, TCSANOW, &t));
	send(master, "\3");
	cr_await(&session->interrupts, 1);
}

/* The other end has been closed. */
static void hangup_setup(void)
{
	open_pair();
	make_raw();
	NEED(!close(slave));
}

static void hangup_check(enum cr_phase phase)
{
	struct pollfd p = { .fd = master, .events = POLLIN };

	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents & POLLHUP, POLLHUP);
	/* It can be opened anew. */
	slave = open(slave_name, O_RDWR | O_NOCTTY);
	CHECK(slave >= 0);
	send(slave, "again");
	check_input(master, "again");
	CHECK_EQ(close(slave), 0);
}

/* The master has been closed: the slave reads an end, for good. */
static void master_closed_setup(void)
{
	open_pair();
	make_raw();
	NEED(!close(master));
}

static void master_closed_check(enum cr_phase phase)
{
	struct pollfd p = { .fd = slave, .events = POLLIN };
	char c;

	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents & POLLHUP, POLLHUP);
	CHECK_EQ(read(slave, &c, 1), 0);
	CHECK_EQ(write(slave, "x", 1), -1);
	CHECK_EQ(errno, EIO);
}

/* What is not kept is refused. */
#ifndef N_NULL
#define N_NULL	27
#endif

static void discipline_setup(void)
{
	int discipline = N_NULL;

	open_pair();
	if (ioctl(slave, TIOCSETD, &discipline))
		cr_skip("no other line discipline");
}

static void discipline_check(enum cr_phase phase)
{
	int discipline = -1;

	CHECK_EQ(ioctl(slave, TIOCGETD, &discipline), 0);
	CHECK_EQ(discipline, N_NULL);
}

static void locked_setup(void)
{
	struct termios locked = { .c_lflag = ECHO };

	open_pair();
	NEED(!ioctl(slave, TIOCSLCKTRMIOS, &locked));
}

static void locked_check(enum cr_phase phase)
{
	struct termios locked = { };

	CHECK_EQ(ioctl(slave, TIOCGLCKTRMIOS, &locked), 0);
	CHECK_EQ(locked.c_lflag, ECHO);
}

/* A terminal whose master the driver has: a subtree finds it again. */
static int driver_terminal(struct cr_run *run)
{
	open_pair();
	return slave;
}

static void inherited_setup(void)
{
	slave = CR_INHERITED_FD;
}

static void inherited_check(enum cr_phase phase)
{
	CHECK(isatty(slave));
	CHECK(!strncmp(ttyname(slave) ?: "", "/dev/pts/", 9));
	CHECK_EQ(write(slave, "x", 1), 1);
}

/* The driver has the master of the terminal that is taken as one's own. */
static void controlling_setup(void)
{
	NEED(!ioctl(CR_INHERITED_FD, TIOCSCTTY, 0));
	close(CR_INHERITED_FD);
}

static void controlling_check(enum cr_phase phase)
{
	int n = open("/dev/tty", O_RDWR);

	CHECK(n >= 0 && tcgetsid(n) == getsid(0));
	close(n);
}

static const struct cr_scenario scenarios[] = {
	{ "pty.pair", CR_ANY, pair_setup, pair_check },
	{ "pty.unread", CR_ANY, unread_setup, unread_check },
	{ "pty.line", CR_ANY, line_setup, line_check },
	{ "pty.termios", CR_ANY, termios_setup, termios_check },
	{ "pty.window_size", CR_ANY, winsize_setup, winsize_check },
	{ "pty.slave_closed", CR_ANY, hangup_setup, hangup_check },
	{ "pty.controlling", CR_TREE, session_setup, session_check },
	{ "pty.master_closed", CR_ANY, master_closed_setup,
	  master_closed_check },
	{ "pty.outside", CR_SUBTREE, inherited_setup, inherited_check,
	  .prepare = driver_terminal },
	{ "pty.outside_of_container", CR_CONTAINER, inherited_setup,
	  inherited_check, CR_REFUSED, "outside of the container",
	  .prepare = driver_terminal },
	{ "pty.controlling_outside", CR_TREE, controlling_setup,
	  controlling_check, CR_REFUSED,
	  "its controlling terminal belongs to somebody outside of the tree",
	  .prepare = driver_terminal },
	{ "pty.discipline", CR_TREE, discipline_setup, discipline_check,
	  CR_REFUSED, "line discipline" },
	{ "pty.locked", CR_TREE, locked_setup, locked_check,
	  CR_REFUSED, "TIOCSLCKTRMIOS" },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
