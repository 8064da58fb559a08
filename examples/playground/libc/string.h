/* <string.h> without a C library: what celcomen.h names. SPDX-License-Identifier: MIT */
#include <stddef.h>
void *memcpy(void *to, const void *from, size_t bytes), *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes), *memchr(const void *p, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
int strcmp(const char *a, const char *b), strncmp(const char *a, const char *b, size_t bytes);
size_t strlen(const char *text);
char *strcpy(char *to, const char *from), *strcat(char *to, const char *from), *strchr(const char *text, int c);
char *strrchr(const char *text, int c), *strpbrk(const char *text, const char *any);
char *strstr(const char *text, const char *part);
