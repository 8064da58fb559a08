/* Unpacking: inflate FILE.gz writes the content to standard output; inflate --streams FILE checks the records of
 * tests/write_files.py; inflate --time FILE.gz prints the processor time of the fastest of seven rounds, our own and
 * that of gunzip -c, which reads a file and writes to nowhere, and bytes of the content.
 * SPDX-License-Identifier: MIT */
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"
#include "clock.h"

#include <sys/resource.h>

static size_t integer(const unsigned char *p)
{
    return p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

static double seconds_of(struct timeval t) { return (double)t.tv_sec + 1e-6 * (double)t.tv_usec; }

/* Processor time of gunzip, started by a shell that does next to nothing. */
static double of_gunzip(const char *path)
{
    struct rusage before, after;
    char line[4200];
    snprintf(line, sizeof line, "exec gunzip -c '%s' > /dev/null", path);
    getrusage(RUSAGE_CHILDREN, &before);
    if (system(line)) return 1e9;
    getrusage(RUSAGE_CHILDREN, &after);
    return seconds_of(after.ru_utime) + seconds_of(after.ru_stime) - seconds_of(before.ru_utime) -
           seconds_of(before.ru_stime);
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "", *path = argv[argc - 1];
    const unsigned char *p;
    cel_file file;
    cel_error err = CEL_ZERO;
    void *out;
    size_t n, at = 0;
    double least = 1e9, theirs = 1e9, start;
    int k, count = 0;
    if (argc < 2 || cel_file_open(path, 1, &file, &err)) return 2;
    p = (const unsigned char *)file.bytes;
    if (!strcmp(what, "--streams")) {
        for (; file.size - at >= 8; count++) {
            size_t length = integer(p + at), packed = integer(p + at + 4);
            const unsigned char *content = p + at + 8;
            if (cel_file_gunzip(content + length, packed, 0, &out, &n, &err) || n != length ||
                memcmp(out, content, n)) {
                printf("stream %d: %s\n", count, err.what ? err.what : "other bytes");
                return 1;
            }
            cel_file_free(out);
            at += 8 + length + packed;
        }
        printf("%d\n", count);
        return 0;
    }
    if (strcmp(what, "--time")) {
        if (cel_file_gunzip(file.bytes, file.size, 0, &out, &n, &err)) {
            fprintf(stderr, "%s: %s\n", path, err.what);
            return 1;
        }
        return fwrite(out, 1, n, stdout) != n;
    }
    for (k = 0; k < 7; k++) {
        start = clock_of(1);
        if (cel_file_gunzip(file.bytes, file.size, 0, &out, &n, &err)) return 1;
        if (clock_of(1) - start < least) least = clock_of(1) - start;
        cel_file_free(out);
        start = of_gunzip(path);
        if (start < theirs) theirs = start;
    }
    printf("%.4f %.4f %lu\n", least, theirs, (unsigned long)n);
    return 0;
}
