/* Macros that other headers are known to define, as they define them: the library compiles after all of these at once.
 * SPDX-License-Identifier: MIT */
/* <windows.h>: windef.h, rpcndr.h, wingdi.h, objbase.h, mmsystem.h */
#define near
#define far
#define NEAR near
#define FAR far
#define IN
#define OUT
#define OPTIONAL
#define CONST const
#define ERROR 0
#define TRUE 1
#define FALSE 0
#define VOID void
#define interface struct
#define small char
#define hyper long long
#define pascal
#define cdecl
#define CALLBACK
#define DELETE 65536L
#define STRICT 1
#define ABSOLUTE 1
#define RELATIVE 2
#define DIFFERENCE 11
#define TRANSPARENT 1
#define min(a, b) (((a) < (b)) ? (a) : (b))
#define max(a, b) (((a) > (b)) ? (a) : (b))
/* <complex.h>, <iso646.h> aside, <sys/sysmacros.h>, <sys/param.h>, <sys/queue.h>, <bits/local_lim.h> */
#define complex _Complex
#define I 0.0
#define major(dev) 0
#define minor(dev) 0
#define makedev(a, b) 0
#define MIN(a, b) 0
#define MAX(a, b) 0
#define roundup(x, y) 0
#define howmany(x, y) 0
#define ARG_MAX 131072
/* <X11/X.h>, <X11/Xlib.h> */
#define None 0L
#define Bool int
#define Status int
#define True 1
#define False 0
#define Success 0
#define Above 0
#define Below 1
#define Always 2
#define Complex 0
#define Convex 2
#define Unsorted 0
/* gcc's gnu dialects on old systems, <signal.h>, <curses.h> */
#define unix 1
#define linux 1
#define i386 1
#define vax 1
#define sun 1
#define move(y, x) 0
#define clear() 0
#define box(w, v, h) 0
#define OK 0
#define ERR (-1)
#define getch() 0
#define timeout(delay) 0
#define refresh() 0
/* R: Rinternals.h; Qt; Arduino; FreeBSD's and Apple's */
#define length Rf_length_
#define error Rf_error_
#define warning Rf_warning_
#define slots
#define signals
#define emit
#define foreach 0
#define PI 3.1415926535897932384626433832795
#define HIGH 1
#define LOW 0
#define DEGREES 1
#define B1 1
#define F(s) (s)
#define sq(x) ((x) * (x))
#define bit(b) 0
#define degrees(rad) 0
#define check(x) 0
#define verify(x) 0
#define require(a, b) 0
#define nil 0
/* the kernel's, Lua's, Perl's, Tcl's, Ruby's */
#define likely(x) (x)
#define unlikely(x) (x)
#define container_of(a, b, c) 0
#define BLOCK 1
#define BLOCKS 1
#define CHUNK 1
#define CHUNKS 1
#define ROWS 24
#define COLS 80
#define STEP 1
#define STEPS 1
#define SAMPLE 1
#define BINS 1
#define LANES 1
#define LAGS 1
#define HEAD 1
#define FEW 1
#define PART 1
#define STRIP 1
#define _B 1
#define _C 1
#define _N 1
#define _X 1
