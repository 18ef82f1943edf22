/* A date that is wrong by SHIM_SECONDS, for the program that this is preloaded into. Its other
 * clocks, and the kernel's own, by which it stamps files, stay right. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long wrong_by(void)
{
	const char *seconds = getenv("SHIM_SECONDS");
	return seconds ? atol(seconds) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int done = syscall(SYS_clock_gettime, clock, now);
	if (done == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += wrong_by();
	return done;
}

int gettimeofday(struct timeval *now, void *zone)
{
	struct timespec precise;
	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
		return -1;
	now->tv_sec = precise.tv_sec;
	now->tv_usec = precise.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *now)
{
	struct timespec precise;
	if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
		return -1;
	if (now)
		*now = precise.tv_sec;
	return precise.tv_sec;
}
