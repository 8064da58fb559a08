/* A second unit that only uses the library. SPDX-License-Identifier: MIT */
#include "celcomen.h"

#include "use.h"

#ifdef __cplusplus
extern "C"
#endif
int other(void);
int other(void)
{
    return use();
}
