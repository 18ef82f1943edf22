/* A contender with liblockfile, which follows orders: see ../tables/contender.rs. */
#include <lockfile.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const char *path;

static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static long long cpu(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000LL
        + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000LL;
}

static void rest(long long time)
{
    struct timespec left = { time / 1000000000, time % 1000000000 };
    if (time > 0)
        nanosleep(&left, NULL);
}

static void lock(void)
{
    int error = lockfile_create(path, 1000000, 0);
    if (error != L_SUCCESS) {
        fprintf(stderr, "lockfile_create: %d\n", error);
        exit(1);
    }
}

static void unlock(void)
{
    if (lockfile_remove(path) != 0)
        exit(1);
}

static long long used, count, waits, total, longest, began;

static void waited(void)
{
    long long time = now() - began;
    waits++;
    total += time;
    if (time > longest)
        longest = time;
}

/* The time is over, whatever we do: its pauses are up to a minute long. */
static void over(int signal)
{
    (void)signal;
    if (began)
        waited();
    printf("%lld %lld %lld %lld %lld\n", count, cpu() - used, waits, total, longest);
    fflush(stdout);
    _exit(0);
}

static void contend(long long start, long long hold, long long think, long long end)
{
    struct timespec at = { end / 1000000000, end % 1000000000 };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
    struct itimerspec alarm_at = { .it_value = at };
    timer_t timer;
    rest(start - now());
    used = cpu();
    began = now();
    signal(SIGALRM, over);
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    timer_settime(timer, TIMER_ABSTIME, &alarm_at, NULL);
    for (;;) {
        began = now();
        lock();
        waited();
        began = 0;
        count++;
        rest(hold);
        unlock();
        rest(think);
    }
}

int main(int argc, char **argv)
{
    char order[16];
    long long a, b, c, d;
    if (argc != 3)
        return 2;
    path = argv[2];
    puts("ready");
    fflush(stdout);
    while (scanf("%15s", order) == 1) {
        if (strcmp(order, "times") == 0 && scanf("%lld", &a) == 1) {
            while (a-- > 0) {
                b = now();
                lock();
                unlock();
                printf("%lld ", now() - b);
            }
        } else if (strcmp(order, "repeat") == 0 && scanf("%lld", &a) == 1) {
            while (a-- > 0) {
                lock();
                unlock();
            }
        } else if (strcmp(order, "lock") == 0) {
            lock();
            printf("%lld", now());
        } else if (strcmp(order, "unlock") == 0) {
            printf("%lld", now());
            unlock();
        } else if (strcmp(order, "contend") == 0
                   && scanf("%lld %lld %lld %lld", &a, &b, &c, &d) == 4) {
            contend(a, b, c, d);
        } else {
            return 2;
        }
        puts("");
        fflush(stdout);
    }
    return 0;
}
