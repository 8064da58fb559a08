/* The header included in awkward orders in one unit, and twice as the implementation. SPDX-License-Identifier: MIT */
#include "celcomen.h"
#include "celcomen.h"
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"
#include "celcomen.h"
#include "use.h"

#ifdef __cplusplus
extern "C"
#endif
int other(void);

int main(void)
{
    return use() + other();
}
