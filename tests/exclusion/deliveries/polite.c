/* dotlockfile without its race, for the program that this is preloaded into.
 *
 * If a dotlock is released between two of its checks, liblockfile 1.17 takes it for a stale one, and
 * removes what has the name by then: the live dotlock of a quicker program. No dotlock in the test
 * is old enough to be stale, so every dotlock that it would remove while it locks is a live one. This
 * prevents that, and notes each time in the file SHIM_NOTES. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int unlink(const char *path)
{
	const char *notes = getenv("SHIM_NOTES");
	size_t length = strlen(path);
	int file;

	if (!notes || length < 5 || strcmp(path + length - 5, ".lock") != 0)
		return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
	file = open(notes, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (file < 0 || write(file, "x", 1) != 1)
		abort();
	close(file);
	errno = ENOENT;
	return -1;
}
