// SPDX-License-Identifier: GPL-2.0
/* Job control: what is stopped, and what the parent can wait for. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "cr.h"

#define THREADS	4

struct job {
	int counts[THREADS];
	pid_t pid;

	/* What the parent can wait for: a signal, or 0. */
	int stopped, continued;
};

static struct job *jobs;
static size_t jobs_count;
static int signals;

static void count_signal(int sig)
{
	cr_set(&signals, signals + 1);
}

static void *count_up(void *arg)
{
	int *count = arg;

	for (;;) {
		cr_set(count, cr_get(count) + 1);
		cr_msleep(1);
	}
	return NULL;
}

static void job_main(void *arg)
{
	struct job *job = arg;
	pthread_t thread;
	size_t i;

	/* A group of its own is not orphaned, so that SIGTSTP stops it. */
	NEED(!setpgid(0, 0));
	for (i = 1; i < THREADS; i++)
		NEED(!pthread_create(&thread, NULL, count_up, &job->counts[i]));
	count_up(&job->counts[0]);
}

static bool runs(struct job *job)
{
	int were[THREADS];
	size_t i, n, left;

	memcpy(were, job->counts, sizeof(were));
	for (n = 0; n < 1000; n++) {
		for (i = left = 0; i < THREADS; i++)
			left += cr_get(&job->counts[i]) == were[i];
		if (!left)
			return true;
		cr_msleep(2);
	}
	return false;
}

static bool stands(struct job *job)
{
	int were[THREADS];

	memcpy(were, job->counts, sizeof(were));
	cr_msleep(30);
	return !memcmp(were, job->counts, sizeof(were));
}

static void start_jobs(size_t count)
{
	struct sigaction act = { .sa_handler = count_signal,
				 .sa_flags = SA_RESTART };

	NEED(!sigaction(SIGCHLD, &act, NULL));
	jobs = cr_shared(count * sizeof(*jobs));
	for (jobs_count = 0; jobs_count < count; jobs_count++) {
		jobs[jobs_count].pid = cr_fork(job_main, &jobs[jobs_count]);
		NEED(runs(&jobs[jobs_count]));
	}
}

static void send(struct job *job, int sig)
{
	int before = cr_get(&signals);

	NEED(!kill(job->pid, sig));
	cr_await(&signals, before + 1);
}

/* What there is to wait for, without taking it. */
static int event(struct job *job, int which)
{
	siginfo_t info = { };

	CHECK_EQ(waitid(P_PID, job->pid, &info, which | WNOHANG | WNOWAIT), 0);
	if (!info.si_pid)
		return 0;
	CHECK_EQ(info.si_pid, job->pid);
	CHECK_EQ(info.si_signo, SIGCHLD);
	CHECK_EQ(info.si_code, which == WSTOPPED ? CLD_STOPPED : CLD_CONTINUED);
	return info.si_status;
}

static void check_events(struct job *job)
{
	CHECK_EQ(event(job, WSTOPPED), job->stopped);
	CHECK_EQ(event(job, WCONTINUED), job->continued);
}

static void take(struct job *job, int which)
{
	siginfo_t info = { };

	CHECK_EQ(waitid(P_PID, job->pid, &info, which | WNOHANG), 0);
	CHECK_EQ(info.si_pid, job->pid);
}

/* The same through the older call, which has the signal in the status. */
static void take_stop(struct job *job, int sig)
{
	int status = 0;

	CHECK_EQ(waitpid(job->pid, &status, WUNTRACED | WNOHANG), job->pid);
	CHECK(WIFSTOPPED(status));
	CHECK_EQ(WSTOPSIG(status), sig);
}

static void end(struct job *job)
{
	NEED(!kill(job->pid, SIGKILL));
	CHECK_EQ(waitpid(job->pid, NULL, 0), job->pid);
}

static const int stops[] = { SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU };

#define STOPS	ARRAY_SIZE(stops)

/* Stopped, each by another signal; the parent has not waited for it. */
static void stopped_setup(void)
{
	size_t i;

	start_jobs(STOPS);
	for (i = 0; i < STOPS; i++) {
		send(&jobs[i], stops[i]);
		jobs[i].stopped = stops[i];
	}
	signals = 0;
}

static void stopped_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < STOPS; i++) {
		CHECK(stands(&jobs[i]));
		check_events(&jobs[i]);
	}
	CHECK_EQ(cr_get(&signals), 0);
	if (phase != CR_AGAIN)
		return;
	for (i = 0; i < STOPS; i++) {
		take_stop(&jobs[i], stops[i]);
		jobs[i].stopped = 0;
		CHECK(stands(&jobs[i]));
		check_events(&jobs[i]);
		send(&jobs[i], SIGCONT);
		CHECK(runs(&jobs[i]));
		jobs[i].continued = SIGCONT;
		check_events(&jobs[i]);
	}
}

/* Stopped, and the parent knows. */
static void reported_setup(void)
{
	start_jobs(1);
	send(&jobs[0], SIGTSTP);
	take_stop(&jobs[0], SIGTSTP);
	signals = 0;
}

static void reported_check(enum cr_phase phase)
{
	CHECK(stands(&jobs[0]));
	check_events(&jobs[0]);
	CHECK_EQ(cr_get(&signals), 0);

	/* It goes on and stops, as often as one likes. */
	send(&jobs[0], SIGCONT);
	take(&jobs[0], WCONTINUED);
	CHECK(runs(&jobs[0]));
	send(&jobs[0], SIGTSTP);
	take_stop(&jobs[0], SIGTSTP);
	signals = 0;
}

/* It goes on, and the parent has not waited for that. */
static void continued_setup(void)
{
	start_jobs(2);
	send(&jobs[0], SIGSTOP);
	send(&jobs[0], SIGCONT);
	jobs[0].continued = SIGCONT;
	send(&jobs[1], SIGSTOP);
	take_stop(&jobs[1], SIGSTOP);
	send(&jobs[1], SIGCONT);
	take(&jobs[1], WCONTINUED);
	signals = 0;
}

static void continued_check(enum cr_phase phase)
{
	CHECK(runs(&jobs[0]));
	CHECK(runs(&jobs[1]));
	check_events(&jobs[0]);
	check_events(&jobs[1]);
	CHECK_EQ(cr_get(&signals), 0);
	if (phase != CR_AGAIN)
		return;
	take(&jobs[0], WCONTINUED);
	jobs[0].continued = 0;
	check_events(&jobs[0]);
}

/* SIGKILL ends what is stopped. */
static void killed_check(enum cr_phase phase)
{
	CHECK(stands(&jobs[0]));
	if (phase == CR_AGAIN) {
		send(&jobs[0], SIGKILL);
		take(&jobs[0], WEXITED);
		CHECK_EQ(waitpid(jobs[0].pid, NULL, WNOHANG), -1);
	}
}

/* A SIGCHLD that waits is neither lost nor doubled. */
static void pending_setup(void)
{
	sigset_t set;

	start_jobs(1);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	NEED(!sigprocmask(SIG_BLOCK, &set, NULL));
	NEED(!kill(jobs[0].pid, SIGSTOP));
	NEED(!waitid(P_PID, jobs[0].pid, &(siginfo_t){ },
		     WSTOPPED | WNOWAIT));
	jobs[0].stopped = SIGSTOP;
}

static void pending_check(enum cr_phase phase)
{
	struct timespec now = { };
	siginfo_t info = { };
	sigset_t set;

	sigpending(&set);
	CHECK_EQ(sigismember(&set, SIGCHLD), 1);
	CHECK(stands(&jobs[0]));
	check_events(&jobs[0]);
	if (phase != CR_AGAIN)
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	CHECK_EQ(sigtimedwait(&set, &info, &now), SIGCHLD);
	CHECK_EQ(info.si_pid, jobs[0].pid);
	CHECK_EQ(info.si_code, CLD_STOPPED);
	CHECK_EQ(info.si_status, SIGSTOP);
	CHECK_EQ(sigtimedwait(&set, &info, &now), -1);
	end(&jobs[0]);
}

static const struct cr_scenario scenarios[] = {
	{ "job.stopped", CR_TREE, stopped_setup, stopped_check },
	{ "job.stop_reported", CR_TREE, reported_setup, reported_check },
	{ "job.continued", CR_TREE, continued_setup, continued_check },
	{ "job.killed", CR_TREE, reported_setup, killed_check },
	{ "job.signal_pending", CR_TREE, pending_setup, pending_check },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
