/* Everything static: linked twice into one program. SPDX-License-Identifier: MIT */
#define CELCOMEN_STATIC
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"
#include "use.h"

#ifdef UNIT_MAIN
int other(void);
int main(void)
{
    return use() + other();
}
#else
int other(void);
int other(void)
{
    return use();
}
#endif
