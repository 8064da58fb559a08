/* draw.h - a small kit for SVG pictures in plain C (C99, C++11), for the tool and the course: libc and libm only.
 *
 *     draw d;
 *     draw_plot p = {60, 40, 400, 240, {"sweeps", NULL, 0, 100, 0, 0}, {"energy a cell", NULL, 0, 1, 0, 0}};
 *     draw_series s = {"chain 1", x, y, error, NULL, 100, 0, DRAW_LINE | DRAW_POINTS};
 *     draw_begin(&d, 500, 340, "Energy by sweep", "One chain falls to 0.3 in 40 sweeps");
 *     draw_frame(&d, &p);
 *     draw_curve(&d, &p, &s);
 *     draw_legend(&d, 70, 50, &s, 1);
 *     if (draw_save(&d, "energy.svg")) puts("energy.svg could not be written");
 *
 * A picture is its title and description (for those who cannot see it) and elements in pixels, y downwards. Colours
 * are CSS classes, so that one file serves light, dark and print. The scales are safe for the colour-blind and monotone
 * in lightness; series also differ in marker and dash, and negative squares of a heat map carry a dash where there is
 * room, so that a grey copy can be read. Text is escaped. Out of memory is remembered, and said by draw_save.
 * SPDX-License-Identifier: MIT */
#ifndef DRAW_H
#define DRAW_H

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__) || defined(__clang__)
#define DRAW_API static __attribute__((unused))
#else
#define DRAW_API static
#endif

/* ---- a text that grows ---- */

typedef struct draw_buffer {
    char *data; /* ends with 0 */
    size_t size, room;
    int failed; /* out of memory: what follows is dropped */
} draw_buffer;

DRAW_API void draw_add(draw_buffer *b, const char *data, size_t size)
{
    if (b->failed) return;
    if (b->size + size + 1 > b->room) {
        size_t room = 2 * b->room + size + 1024;
        char *grown = (char *)realloc(b->data, room);
        if (!grown) {
            b->failed = 1;
            return;
        }
        b->data = grown;
        b->room = room;
    }
    if (size) memcpy(b->data + b->size, data, size);
    b->size += size;
    b->data[b->size] = 0;
}

DRAW_API void draw_put_args(draw_buffer *b, const char *format, va_list args)
{
    char small[512], *text = small;
    va_list again;
    int n;
    va_copy(again, args);
    n = vsnprintf(small, sizeof small, format, args);
    if (n >= (int)sizeof small) {
        text = (char *)malloc((size_t)n + 1);
        if (text) vsnprintf(text, (size_t)n + 1, format, again);
    }
    va_end(again);
    if (n < 0 || !text) b->failed = 1;
    else draw_add(b, text, (size_t)n);
    if (text != small) free(text);
}
DRAW_API void draw_put(draw_buffer *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    draw_put_args(b, format, args);
    va_end(args);
}

/* The bytes of the UTF-8 letter at s; 0: none that XML allows. */
DRAW_API size_t draw_letter_size(const unsigned char *s)
{
    size_t n = *s < 0x80 ? 1 : *s < 0xC2 ? 0 : *s < 0xE0 ? 2 : *s < 0xF0 ? 3 : *s < 0xF5 ? 4 : 0, k;
    if (n == 1) return *s == '\t' || *s == '\n' || (*s >= 32 && *s != 127);
    for (k = 1; k < n; k++)
        if ((s[k] & 0xC0) != 0x80) return 0;
    if ((*s == 0xE0 && s[1] < 0xA0) || (*s == 0xF0 && s[1] < 0x90)) return 0;                /* too long */
    if ((*s == 0xED && s[1] > 0x9F) || (*s == 0xF4 && s[1] > 0x8F)) return 0;                /* no letters */
    return *s == 0xEF && s[1] == 0xBF && s[2] > 0xBD ? 0 : n;
}

/* Text of any kind as content or attribute of XML and HTML; what is not allowed there becomes '?'. */
DRAW_API void draw_escape(draw_buffer *b, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    while (s && *s) {
        size_t n = draw_letter_size(s);
        if (*s == '&') draw_put(b, "&amp;");
        else if (*s == '<') draw_put(b, "&lt;");
        else if (*s == '>') draw_put(b, "&gt;");
        else if (*s == '"') draw_put(b, "&quot;");
        else if (n == 0) draw_put(b, "?");
        else draw_add(b, (const char *)s, n);
        s += n ? n : 1;
    }
}

DRAW_API void draw_base64(draw_buffer *b, const unsigned char *data, size_t size)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t i;
    for (i = 0; i < size; i += 3) {
        unsigned long v = (unsigned long)data[i] << 16;
        char four[4];
        if (i + 1 < size) v |= (unsigned long)data[i + 1] << 8;
        if (i + 2 < size) v |= data[i + 2];
        four[0] = digit[v >> 18 & 63];
        four[1] = digit[v >> 12 & 63];
        four[2] = i + 1 < size ? digit[v >> 6 & 63] : '=';
        four[3] = i + 2 < size ? digit[v & 63] : '=';
        draw_add(b, four, 4);
    }
}

/* ---- colours ---- */

/* Classes of colour in a scale, and of things. */
#define DRAW_LEVELS 33
#define DRAW_COLOURS 16
typedef enum draw_scale {
    DRAW_KINDS,  /* things: class c0, c1, .. */
    DRAW_AMOUNT, /* from 0 to much: q0 .. q32 */
    DRAW_SIGNED  /* from negative over 0 to positive: v0 .. v32 */
} draw_scale;

/* 0xRRGGBB of a class, in light or dark. */
DRAW_API unsigned draw_colour(draw_scale scale, int level, int dark)
{
    /* Okabe and Ito's colours, yellow and black replaced, then Tol's muted ones; the same lightened for dark. */
    static const unsigned kinds[2][DRAW_COLOURS] = {
        {0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0x56B4E9, 0xE69F00, 0x666666, 0x882255,
         0x332288, 0x44AA99, 0x999933, 0xAA4499, 0x661100, 0x6699CC, 0x117733, 0xAA8866},
        {0x4AA8E0, 0xFF8A4C, 0x2CC79A, 0xE39AC3, 0x8CD0F7, 0xF5BE4B, 0xA5A5A5, 0xD0709F,
         0x9D94F0, 0x7AD6C6, 0xC8C86A, 0xDC8CD0, 0xC97B5E, 0x9FC0E8, 0x5FBF7C, 0xCDB090}};
    static const unsigned amount[2][5] = {{0xE9E3C4, 0xBBDCB6, 0x5FB3B3, 0x2470A0, 0x0E2C64},
                                          {0x262D36, 0x17506F, 0x1F8296, 0x6CC5A6, 0xF2F5BE}};
    static const unsigned both[2][5] = {{0x1B2F7A, 0x7C9BD6, 0xF3F3F1, 0xF2B27C, 0xC65102},
                                        {0xA9C8FF, 0x4A6FB5, 0x2A2E35, 0xA8622A, 0xFFB469}};
    const unsigned *anchor = scale == DRAW_AMOUNT ? amount[dark != 0] : both[dark != 0];
    double at, share;
    unsigned out = 0;
    int k, shift;
    if (scale == DRAW_KINDS) return kinds[dark != 0][level % DRAW_COLOURS];
    at = 4.0 * level / (DRAW_LEVELS - 1);
    k = at >= 4 ? 3 : (int)at;
    share = at - k;
    for (shift = 0; shift < 24; shift += 8) {
        double a = anchor[k] >> shift & 255, b = anchor[k + 1] >> shift & 255;
        out |= (unsigned)(a + share * (b - a) + 0.5) << shift;
    }
    return out;
}

/* The class of v on a scale that ends at `most`; a value beyond takes the last. */
DRAW_API int draw_level(draw_scale scale, double v, double most)
{
    double t = most > 0 ? v / most : 0;
    if (scale == DRAW_SIGNED) t = 0.5 + 0.5 * t;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return (int)(t * (DRAW_LEVELS - 1) + 0.5);
}
DRAW_API char draw_letter(draw_scale scale) { return scale == DRAW_AMOUNT ? 'q' : scale == DRAW_SIGNED ? 'v' : 'c'; }

/* The style sheet of every picture; a page that holds pictures puts it into its own <style>. */
DRAW_API void draw_style(draw_buffer *b)
{
    static const draw_scale scales[] = {DRAW_KINDS, DRAW_AMOUNT, DRAW_SIGNED};
    int dark, s, k;
    draw_put(b, ".d{font-family:Helvetica,Arial,'Liberation Sans',sans-serif;color:#1c1f24}.d text{fill:currentColor}"
                ".d .soft{color:#595f69}.d .f{fill:currentColor}.d .l{fill:none;stroke:currentColor}"
                ".d .dots{fill:none;stroke:currentColor;stroke-linecap:round}.d .axis{fill:none;stroke:#6b717b}"
                ".d .grid{fill:none;stroke:#e3e5e8}.d .paper{fill:#fff}.d .panel{fill:#f7f7f5}"
                ".d .cut{fill:none;stroke:#fff;pointer-events:none}.d .rim{stroke:#b9bec6}"
                ".d .night{display:none}.d .b{font-weight:bold}.d image{image-rendering:pixelated}");
    for (dark = 0; dark < 2; dark++) {
        if (dark)
            draw_put(b, "@media screen and (prefers-color-scheme:dark){.d{color:#e6e8eb}.d .soft{color:#a4abb6}"
                        ".d .axis{stroke:#8b929d}.d .grid{stroke:#2f353d}.d .paper{fill:#15181c}"
                        ".d .cut{stroke:#15181c}.d .rim{stroke:#4a515b}"
                        ".d .panel{fill:#1c2026}.d .night{display:inline}.d .day{display:none}");
        for (s = 0; s < 3; s++)
            for (k = 0; k < (s ? DRAW_LEVELS : DRAW_COLOURS); k++)
                draw_put(b, ".d .%c%d{color:#%06x}", draw_letter(scales[s]), k, draw_colour(scales[s], k, dark));
        if (dark) draw_put(b, "}");
    }
}

/* ---- the picture and its elements, in pixels ---- */

typedef struct draw {
    draw_buffer out; /* elements so far */
    double width, height;
    draw_buffer title, desc; /* escaped */
} draw;

DRAW_API void draw_begin(draw *d, double width, double height, const char *title, const char *desc)
{
    memset(d, 0, sizeof *d);
    d->width = width;
    d->height = height;
    draw_escape(&d->title, title);
    draw_escape(&d->desc, desc);
}

DRAW_API void draw_free(draw *d)
{
    free(d->out.data);
    free(d->title.data);
    free(d->desc.data);
    memset(d, 0, sizeof *d);
}

/* A pixel number as short as a tenth of a pixel allows, with what stands before it. */
DRAW_API void draw_number(draw_buffer *b, const char *before, double v)
{
    char s[40];
    size_t n;
    if (!(fabs(v) < 1e7)) v = 0; /* NaN and infinity would make the file invalid */
    n = (size_t)snprintf(s, sizeof s, "%.1f", v);
    if (n > 2 && s[n - 1] == '0') s[n -= 2] = 0;
    draw_put(b, "%s%s", before, strcmp(s, "-0") ? s : "0");
}

/* The picture as text: a file of its own, or (page) an element of an HTML page that has draw_style's sheet. */
DRAW_API void draw_write(const draw *d, int page, draw_buffer *b)
{
    const char *title = d->title.data ? d->title.data : "", *desc = d->desc.data ? d->desc.data : "";
    if (!page) draw_put(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    draw_put(b, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"d\" role=\"img\" viewBox=\"0 0");
    draw_number(b, " ", d->width);
    draw_number(b, " ", d->height);
    draw_number(b, "\" width=\"", d->width);
    draw_number(b, "\" height=\"", d->height);
    draw_put(b, "\" aria-label=\"");
    draw_add(b, title, strlen(title));
    draw_put(b, "\">\n");
    if (!page) { /* in a page the title of all would hide those of the parts */
        draw_put(b, "<title>");
        draw_add(b, title, strlen(title));
        draw_put(b, "</title>\n");
    }
    draw_put(b, "<desc>");
    draw_add(b, desc, strlen(desc));
    draw_put(b, "</desc>\n");
    if (!page) {
        draw_put(b, "<style>");
        draw_style(b);
        draw_put(b, "</style>\n<rect class=\"paper\" width=\"100%%\" height=\"100%%\"/>\n");
    }
    if (d->out.data) draw_add(b, d->out.data, d->out.size);
    draw_put(b, "</svg>\n");
    if (d->out.failed || d->title.failed || d->desc.failed) b->failed = 1;
}

/* Writes the picture and frees it; 0, or 1 where it could not be written. */
DRAW_API int draw_save(draw *d, const char *path)
{
    draw_buffer b;
    FILE *f;
    int bad;
    memset(&b, 0, sizeof b);
    draw_write(d, 0, &b);
    bad = b.failed;
    f = bad ? NULL : fopen(path, "wb");
    if (f) {
        bad = fwrite(b.data, 1, b.size, f) != b.size;
        bad |= fclose(f) != 0;
    } else bad = 1;
    free(b.data);
    draw_free(d);
    return bad;
}

/* The end of an element: with what is said when the pointer rests on it, or (NULL) without. */
DRAW_API void draw_close(draw *d, const char *element, const char *says)
{
    if (!says) {
        draw_put(&d->out, "/>\n");
        return;
    }
    draw_put(&d->out, "><title>");
    draw_escape(&d->out, says);
    draw_put(&d->out, "</title></%s>\n", element);
}

/* Classes: f (filled) or l (a line) with a colour c0.., q0.., v0..; or axis, grid, paper, panel. */
DRAW_API void draw_rect(draw *d, double x, double y, double width, double height, const char *classes, const char *says)
{
    draw_put(&d->out, "<rect class=\"%s\"", classes);
    draw_number(&d->out, " x=\"", x);
    draw_number(&d->out, "\" y=\"", y);
    draw_number(&d->out, "\" width=\"", width > 0 ? width : 0);
    draw_number(&d->out, "\" height=\"", height > 0 ? height : 0);
    draw_put(&d->out, "\"");
    draw_close(d, "rect", says);
}

DRAW_API void draw_line(draw *d, double x1, double y1, double x2, double y2, const char *classes)
{
    draw_put(&d->out, "<path class=\"%s\" d=\"", classes);
    draw_number(&d->out, "M", x1);
    draw_number(&d->out, " ", y1);
    draw_number(&d->out, "L", x2);
    draw_number(&d->out, " ", y2);
    draw_put(&d->out, "\"/>\n");
}

/* The width of a text in Helvetica or Arial; other letters are taken as wide as most capitals. */
DRAW_API double draw_width(const char *text, double size)
{
    static const short width[95] = {
        278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556,
        556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667,
        611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667,
        667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500,
        222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584};
    double sum = 0;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c & 0xC0) == 0x80) continue; /* inside a UTF-8 letter */
        sum += c >= 32 && c < 127 ? width[c - 32] : 722;
    }
    return sum * size / 1000;
}

/* A text cut short with three dots where it is wider than `room` pixels; short_text has 256 bytes. */
DRAW_API const char *draw_cut(const char *text, double size, double room, char *short_text)
{
    size_t n = strlen(text);
    if (draw_width(text, size) <= room && n < 250) return text;
    for (n = n < 250 ? n : 250; n; n--) {
        if ((text[n] & 0xC0) == 0x80) continue; /* inside a letter */
        memcpy(short_text, text, n);
        memcpy(short_text + n, "..", 3);
        if (draw_width(short_text, size) <= room) return short_text;
    }
    return "..";
}

/* anchor: 's' x is the start, 'm' the middle, 'e' the end. y is the base line. turn: degrees clockwise about (x, y). */
DRAW_API void draw_turned(draw *d, double x, double y, double turn, double size, char anchor, const char *classes,
                          const char *text)
{
    draw_put(&d->out, "<text");
    if (classes && *classes) draw_put(&d->out, " class=\"%s\"", classes);
    draw_number(&d->out, " x=\"", x);
    draw_number(&d->out, "\" y=\"", y);
    draw_number(&d->out, "\" font-size=\"", size);
    draw_put(&d->out, "\"");
    if (anchor != 's') draw_put(&d->out, " text-anchor=\"%s\"", anchor == 'm' ? "middle" : "end");
    if (fabs(turn) > 0) {
        draw_number(&d->out, " transform=\"rotate(", turn);
        draw_number(&d->out, " ", x);
        draw_number(&d->out, " ", y);
        draw_put(&d->out, ")\"");
    }
    draw_put(&d->out, ">");
    draw_escape(&d->out, text);
    draw_put(&d->out, "</text>\n");
}
DRAW_API void draw_text(draw *d, double x, double y, double size, char anchor, const char *classes, const char *text)
{
    draw_turned(d, x, y, 0, size, anchor, classes, text);
}

/* Text in lines no wider than `width`, broken at blanks; the base line of the line after the last. */
DRAW_API double draw_lines(draw *d, double x, double y, double width, double size, const char *classes,
                           const char *text)
{
    char line[512];
    while (*text) {
        size_t n = 0, whole = 0;
        while (*text == ' ') text++;
        while (text[n] && n + 1 < sizeof line) {
            line[n] = text[n];
            line[++n] = 0;
            if (text[n] && text[n] != ' ') continue;
            if (whole && draw_width(line, size) > width) break;
            whole = n;
        }
        if (!whole) whole = n;
        line[whole] = 0;
        if (whole) draw_text(d, x, y, size, 's', classes, line);
        y += 1.35 * size;
        text += whole;
    }
    return y;
}

/* The marker of series k: disc, square, triangle, diamond, in turn; radius r. */
DRAW_API void draw_marker(draw *d, double x, double y, double r, int k, const char *classes, const char *says)
{
    double s = 0.89 * r, t = 1.25 * r;
    draw_put(&d->out, "<path class=\"%s\" d=\"", classes);
    if (k % 4 == 0) {
        draw_number(&d->out, "M", x - r);
        draw_number(&d->out, " ", y);
        draw_put(&d->out, "a%.2f %.2f 0 1 0 %.2f 0a%.2f %.2f 0 1 0 %.2f 0z", r, r, 2 * r, r, r, -2 * r);
    } else if (k % 4 == 1) {
        draw_number(&d->out, "M", x - s);
        draw_number(&d->out, " ", y - s);
        draw_put(&d->out, "h%.2fv%.2fh%.2fz", 2 * s, 2 * s, -2 * s);
    } else if (k % 4 == 2) {
        draw_number(&d->out, "M", x);
        draw_number(&d->out, " ", y - t);
        draw_put(&d->out, "l%.2f %.2fh%.2fz", t, 1.8 * t, -2 * t);
    } else {
        draw_number(&d->out, "M", x);
        draw_number(&d->out, " ", y - t);
        draw_put(&d->out, "l%.2f %.2fl%.2f %.2fl%.2f %.2fz", t, t, -t, t, -t, -t);
    }
    draw_put(&d->out, "\"");
    draw_close(d, "path", says);
}

/* A title in bold and a line below it, at the top left. */
DRAW_API void draw_heading(draw *d, const char *title, const char *below)
{
    draw_text(d, 16, 26, 15, 's', "b", title);
    if (below) draw_lines(d, 16, 44, d->width - 32, 12, "soft", below);
}

/* ---- axes ---- */

typedef struct draw_axis {
    const char *label;       /* with the unit */
    const char *const *name; /* the things at 0, 1, .., most - least + 1 of them: a label for each instead of numbers */
    double least, most;
    int log;                 /* decades */
    int tight;               /* no margin beyond least and most */
} draw_axis;

/* A rectangle with axes: where its data are, in pixels. */
typedef struct draw_plot {
    double left, top, width, height;
    draw_axis x, y;
} draw_plot;

/* Widens an axis to hold values (and their errors). The first call on an axis with least = most = 0 sets it. */
DRAW_API void draw_hold(draw_axis *a, const double *value, const double *error, int count)
{
    int i, fresh = !(a->least < a->most) && !(a->least > a->most) && !(a->least > 0) && !(a->least < 0);
    for (i = 0; i < count; i++) {
        double e = error && isfinite(error[i]) ? error[i] : 0, low = value[i] - e, high = value[i] + e;
        if (!isfinite(value[i]) || (a->log && value[i] <= 0)) continue;
        if (a->log && low <= 0) low = value[i];
        if (fresh) {
            a->least = low;
            a->most = high;
            fresh = 0;
        }
        if (low < a->least) a->least = low;
        if (high > a->most) a->most = high;
    }
}

DRAW_API double draw_share(const draw_axis *a, double v)
{
    return a->log ? (log(v) - log(a->least)) / (log(a->most) - log(a->least)) : (v - a->least) / (a->most - a->least);
}
DRAW_API double draw_x(const draw_plot *p, double v) { return p->left + p->width * draw_share(&p->x, v); }
DRAW_API double draw_y(const draw_plot *p, double v) { return p->top + p->height * (1 - draw_share(&p->y, v)); }

/* The step between ticks: 1, 2 or 5 times a power of ten, so that there are at most `most` of them. */
DRAW_API double draw_step(double range, int most)
{
    double raw = range / (most > 1 ? most : 1), ten = pow(10, floor(log10(raw))), m = raw / ten;
    return ten * (m <= 1.0000001 ? 1 : m <= 2.0000001 ? 2 : m <= 5.0000001 ? 5 : 10);
}

/* A number as an axis writes it: no more digits than the step needs, and a true minus sign. */
DRAW_API void draw_tick_text(double v, double step, char *s, size_t room)
{
    size_t size;
    int digits = step > 0 ? (int)ceil(-log10(step) - 1e-6) : 0;
    if (fabs(v) < 1e-9 * fabs(step)) v = 0;
    if (step > 0 && (fabs(v) >= 1e6 || digits > 4)) snprintf(s, room, "%.3g", v);
    else if (step > 0) snprintf(s, room, "%.*f", digits > 0 ? digits : 0, v);
    else snprintf(s, room, "%g", v);
    size = strlen(s);
    if (*s != '-' || size + 3 > room) return;
    memmove(s + 3, s + 1, size);
    memcpy(s, "\xE2\x88\x92", 3);
}

/* The ticks of an axis, at most 24; *step 0: decades. */
DRAW_API int draw_ticks(const draw_axis *a, double pixels, int across, double *at, double *step)
{
    int most = (int)(pixels / (across ? 55 : 32)), n;
    double v;
    if (most > 24) most = 24;
    *step = 0;
    if (a->log) {
        double jump = ceil(log10(a->most / a->least) / (most > 1 ? most : 1));
        v = ceil(log10(a->least) - 1e-9);
        for (n = 0; n < 24 && v <= log10(a->most) + 1e-9; v += jump < 1 ? 1 : jump) at[n++] = pow(10, v);
        if (n > 1) return n;
    }
    for (;; most--) { /* until the labels have room */
        char s[40];
        double wide = 0;
        *step = draw_step(a->most - a->least, most);
        v = ceil(a->least / *step - 1e-9) * *step;
        for (n = 0; n < 24 && v <= a->most + 1e-9 * *step; v += *step) {
            at[n++] = v;
            draw_tick_text(v, *step, s, sizeof s);
            wide += draw_width(s, 11) + 12;
        }
        if (!across || wide < pixels || most <= 2) return n;
    }
}

/* Margins beyond the data, and no empty range. */
DRAW_API void draw_room(draw_axis *a)
{
    double more;
    if (a->name || (a->tight && a->least < a->most)) return;
    if (a->log) {
        if (!(a->least > 0)) a->least = 1e-3;
        if (!(a->most > a->least)) a->most = 10 * a->least;
        more = pow(a->most / a->least, 0.04);
        a->least /= more;
        a->most *= more;
    } else {
        if (!(a->most > a->least)) a->least -= 0.5, a->most = a->least + 1;
        more = 0.04 * (a->most - a->least);
        a->least -= more;
        a->most += more;
    }
}

/* Names along the x axis: straight where they fit, else turned. */
DRAW_API void draw_names(draw *d, const draw_plot *p, int count)
{
    double step = p->width / count, y = p->top + p->height + 16;
    int i, turned = 0;
    for (i = 0; i < count; i++) turned |= draw_width(p->x.name[i], 11) > step - 6;
    for (i = 0; i < count; i++) {
        double x = p->left + (i + 0.5) * step, size = step < 13 ? 0.85 * step : 11;
        if (turned) draw_turned(d, x + 0.36 * size, y - 8, -90, size, 'e', "", p->x.name[i]);
        else draw_text(d, x, y, 11, 'm', "", p->x.name[i]);
    }
}

/* The frame: grid, ticks, numbers, labels. Sets margins on the axes, so call it before drawing data. Leave about 56
 * pixels at the left and 44 below. A y axis has no names. */
DRAW_API void draw_frame(draw *d, draw_plot *p)
{
    double at[24], step, bottom = p->top + p->height, wide = 0;
    char s[40];
    int i, n;
    draw_room(&p->x);
    draw_room(&p->y);
    draw_rect(d, p->left, p->top, p->width, p->height, "panel", NULL);
    n = draw_ticks(&p->y, p->height, 0, at, &step);
    for (i = 0; i < n; i++) {
        double y = draw_y(p, at[i]), w;
        draw_line(d, p->left, y, p->left + p->width, y, "grid");
        draw_tick_text(at[i], step, s, sizeof s);
        draw_text(d, p->left - 7, y + 4, 11, 'e', "", s);
        w = draw_width(s, 11);
        if (w > wide) wide = w;
    }
    if (p->x.name) {
        n = (int)(p->x.most - p->x.least + 1.5);
        p->x.least -= 0.5;
        p->x.most += 0.5;
        draw_names(d, p, n);
    } else {
        n = draw_ticks(&p->x, p->width, 1, at, &step);
        for (i = 0; i < n; i++) {
            double x = draw_x(p, at[i]);
            draw_line(d, x, p->top, x, bottom, "grid");
            draw_tick_text(at[i], step, s, sizeof s);
            draw_text(d, x, bottom + 16, 11, 'm', "", s);
        }
    }
    draw_line(d, p->left, bottom, p->left + p->width, bottom, "axis");
    draw_line(d, p->left, p->top, p->left, bottom, "axis");
    if (p->x.label && !p->x.name) draw_text(d, p->left + p->width / 2, bottom + 36, 12, 'm', "soft", p->x.label);
    if (p->y.label)
        draw_turned(d, p->left - wide - 18, p->top + p->height / 2, -90, 12, 'm', "soft", p->y.label);
}

/* ---- data on axes ---- */

enum { DRAW_LINE = 1, DRAW_POINTS = 2, DRAW_BARS = 4, DRAW_TWO_ERRORS = 8 };

typedef struct draw_series {
    const char *name;
    const double *x, *y, *error; /* x NULL: 0, 1, ..; error (one standard error) NULL: none */
    const char *const *label;    /* what each point is called when pointed at; NULL: numbers only */
    int count, colour, kind;     /* kind: DRAW_LINE | DRAW_POINTS, or DRAW_BARS; | DRAW_TWO_ERRORS: longer error bars */
} draw_series;

/* The line of a series; broken where a value is missing (NaN). */
DRAW_API void draw_path(draw *d, const draw_plot *p, const draw_series *s)
{
    static const char *const dash[] = {"", "6 3", "2 3", "9 3 2 3"};
    int i, pen = 0;
    draw_put(&d->out, "<path class=\"l c%d\" stroke-width=\"1.8\" stroke-linejoin=\"round\"", s->colour % DRAW_COLOURS);
    if (s->colour % 4) draw_put(&d->out, " stroke-dasharray=\"%s\"", dash[s->colour % 4]);
    draw_put(&d->out, " d=\"");
    for (i = 0; i < s->count; i++) {
        double x = s->x ? s->x[i] : i;
        if (!isfinite(x) || !isfinite(s->y[i])) {
            pen = 0;
            continue;
        }
        draw_number(&d->out, pen ? "L" : "M", draw_x(p, x));
        draw_number(&d->out, " ", draw_y(p, s->y[i]));
        pen = 1;
    }
    draw_put(&d->out, "\"/>\n");
}

/* A band between two curves, such as quartiles. */
DRAW_API void draw_band(draw *d, const draw_plot *p, const double *x, const double *low, const double *high, int count,
                        int colour)
{
    int i;
    draw_put(&d->out, "<path class=\"f c%d\" opacity=\".18\" d=\"", colour % DRAW_COLOURS);
    for (i = 0; i < 2 * count; i++) {
        int k = i < count ? i : 2 * count - 1 - i;
        draw_number(&d->out, i ? "L" : "M", draw_x(p, x[k]));
        draw_number(&d->out, " ", draw_y(p, i < count ? low[k] : high[k]));
    }
    draw_put(&d->out, "z\"/>\n");
}

DRAW_API void draw_whisker(draw *d, const draw_plot *p, double x, double y, double error)
{
    double low = y - error, top = draw_y(p, 2 * y - low), bottom;
    bottom = draw_y(p, p->y.log && low <= 0 ? p->y.least : low);
    draw_put(&d->out, "<path class=\"l\" stroke-width=\"1\" d=\"");
    draw_number(&d->out, "M", x - 3);
    draw_number(&d->out, " ", top);
    draw_number(&d->out, "h6m-3 0V", bottom);
    draw_put(&d->out, "m-3 0h6\"/>\n");
}

/* "name: x, y +- error" for the pointer. */
DRAW_API void draw_says(const draw_series *s, int i, char *text, size_t room)
{
    int n = snprintf(text, room, "%s", s->label ? s->label[i] : s->name ? s->name : "");
    if (n < 0 || (size_t)n >= room) return;
    if (s->x) n += snprintf(text + n, room - (size_t)n, "%s%.4g, %.4g", n ? ": " : "", s->x[i], s->y[i]);
    else n += snprintf(text + n, room - (size_t)n, "%s%.4g", n ? ": " : "", s->y[i]);
    if (n > 0 && (size_t)n < room && s->error && isfinite(s->error[i]))
        snprintf(text + n, room - (size_t)n, " +- %.2g", s->error[i]);
}

/* A series as line, points with error bars, or both. */
DRAW_API void draw_curve(draw *d, const draw_plot *p, const draw_series *s)
{
    char says[300], classes[24];
    double reach = s->kind & DRAW_TWO_ERRORS ? 2 : 1;
    int i;
    snprintf(classes, sizeof classes, "f c%d", s->colour % DRAW_COLOURS);
    if (s->kind & DRAW_LINE) draw_path(d, p, s);
    if (!(s->kind & DRAW_POINTS)) return;
    draw_put(&d->out, "<g class=\"c%d\">\n", s->colour % DRAW_COLOURS);
    for (i = 0; i < s->count && s->error; i++)
        if (isfinite(s->y[i]) && isfinite(s->error[i]))
            draw_whisker(d, p, draw_x(p, s->x ? s->x[i] : i), s->y[i], reach * s->error[i]);
    draw_put(&d->out, "</g>\n");
    for (i = 0; i < s->count; i++) {
        double x = draw_x(p, s->x ? s->x[i] : i);
        if (!isfinite(s->y[i])) continue;
        draw_says(s, i, says, sizeof says);
        draw_marker(d, x, draw_y(p, s->y[i]), s->count > 200 ? 2 : 3.4, s->colour, classes, says);
    }
}

/* Series as bars side by side, from 0, at the names of the x axis. */
DRAW_API void draw_bars(draw *d, const draw_plot *p, const draw_series *s, int series)
{
    double step = p->width / (p->x.most - p->x.least), wide = 0.8 * step / series;
    double zero = draw_y(p, p->y.least > 0 ? p->y.least : p->y.most < 0 ? p->y.most : 0);
    char says[300], classes[24];
    int i, k;
    for (k = 0; k < series; k++)
        for (i = 0; i < s[k].count; i++) {
            double x = draw_x(p, i) - 0.4 * step + k * wide, y = draw_y(p, s[k].y[i]);
            if (!isfinite(s[k].y[i])) continue;
            draw_says(&s[k], i, says, sizeof says);
            snprintf(classes, sizeof classes, "f c%d", s[k].colour % DRAW_COLOURS);
            draw_rect(d, x, y < zero ? y : zero, wide - 1, fabs(y - zero), classes, says);
            if (s[k].error && isfinite(s[k].error[i]))
                draw_whisker(d, p, x + wide / 2, s[k].y[i], s[k].error[i] * (s[k].kind & DRAW_TWO_ERRORS ? 2 : 1));
        }
    draw_line(d, p->left, zero, p->left + p->width, zero, "axis");
}

/* A line of the series' marks and names, one below the other from (x, y); the height it takes. */
DRAW_API double draw_legend(draw *d, double x, double y, const draw_series *s, int series)
{
    char classes[24];
    int k;
    for (k = 0; k < series; k++) {
        double at = y + 18 * k;
        static const double none[2] = {0, 0};
        snprintf(classes, sizeof classes, "f c%d", s[k].colour % DRAW_COLOURS);
        if (s[k].kind & DRAW_LINE) {
            draw_plot p = {0, 0, 1, 1, {NULL, NULL, 0, 1, 0, 1}, {NULL, NULL, 0, 1, 0, 1}};
            draw_series line = s[k];
            double ends[2] = {0, 1};
            p.left = x;
            p.width = 24;
            p.top = at - 1;
            line.x = ends;
            line.y = none;
            line.count = 2;
            draw_path(d, &p, &line);
        }
        if (s[k].kind & DRAW_POINTS) draw_marker(d, x + 12, at, 3.4, s[k].colour, classes, NULL);
        if (s[k].kind & DRAW_BARS) draw_rect(d, x + 4, at - 6, 16, 12, classes, NULL);
        draw_text(d, x + 32, at + 4, 12, 's', "", s[k].name);
    }
    return 18.0 * series;
}

/* ---- images: PNG with a palette, packed by runs and by the row above ---- */

/* Bits of a deflate stream, least first. */
typedef struct draw_bits {
    draw_buffer *out;
    unsigned long held;
    int count;
} draw_bits;

DRAW_API void draw_bits_put(draw_bits *b, unsigned long v, int count)
{
    b->held |= v << b->count;
    for (b->count += count; b->count >= 8; b->count -= 8, b->held >>= 8) {
        char byte = (char)(b->held & 255);
        draw_add(b->out, &byte, 1);
    }
}
/* A symbol of deflate's fixed code, whose bits are written most first. */
DRAW_API void draw_bits_symbol(draw_bits *b, int symbol)
{
    unsigned long code, turned = 0;
    int length, k;
    if (symbol < 144) code = 0x30u + (unsigned)symbol, length = 8;
    else if (symbol < 256) code = 0x190u + (unsigned)(symbol - 144), length = 9;
    else if (symbol < 280) code = (unsigned)(symbol - 256), length = 7;
    else code = 0xC0u + (unsigned)(symbol - 280), length = 8;
    for (k = 0; k < length; k++) turned |= (code >> k & 1) << (length - 1 - k);
    draw_bits_put(b, turned, length);
}
/* A repeat of `length` (3 .. 258) bytes from `distance` (1 .. 32768) back. */
DRAW_API void draw_bits_repeat(draw_bits *b, int length, int distance)
{
    int extra = 0, symbol, base, code;
    unsigned turned = 0;
    if (length == 258) draw_bits_symbol(b, 285);
    else { /* eight lengths without extra bits, then four symbols for each number of them */
        base = length - 3;
        while (base >> extra >= 8) extra++;
        symbol = 257 + 4 * extra + (base >> extra);
        draw_bits_symbol(b, symbol);
        draw_bits_put(b, (unsigned long)base & ((1ul << extra) - 1), extra);
    }
    base = distance - 1;
    extra = 0;
    while (base >> extra >= 4) extra++;
    code = 2 * extra + (base >> extra);
    for (symbol = 0; symbol < 5; symbol++) turned |= (unsigned)(code >> symbol & 1) << (4 - symbol);
    draw_bits_put(b, turned, 5);
    draw_bits_put(b, (unsigned long)base & ((1ul << extra) - 1), extra);
}

/* The zlib stream of `size` bytes. */
DRAW_API void draw_pack(draw_buffer *out, const unsigned char *data, size_t size, size_t row)
{
    draw_bits b;
    size_t i = 0, k, length, best, from, back[2];
    unsigned long one = 1, two = 0;
    char tail[4];
    b.out = out;
    b.held = 0;
    b.count = 0;
    back[0] = 1;
    back[1] = row <= 32768 ? row : 1;
    draw_add(out, "\x78\x01", 2);
    draw_bits_put(&b, 3, 3); /* the last block, the fixed code */
    while (i < size) {
        for (best = 0, from = 1, k = 0; k < 2; k++) {
            if (back[k] > i) continue;
            for (length = 0; length < 258 && i + length < size; length++)
                if (data[i + length] != data[i + length - back[k]]) break;
            if (length > best) best = length, from = back[k];
        }
        if (best >= 3) draw_bits_repeat(&b, (int)best, (int)from);
        else best = 1, draw_bits_symbol(&b, data[i]);
        i += best;
    }
    draw_bits_symbol(&b, 256);
    draw_bits_put(&b, 0, 7); /* the last byte is filled */
    for (i = 0; i < size; i++) {
        one = (one + data[i]) % 65521;
        two = (two + one) % 65521;
    }
    for (k = 0; k < 4; k++) tail[k] = (char)((k < 2 ? two : one) >> (k % 2 ? 0 : 8) & 255);
    draw_add(out, tail, 4);
}

DRAW_API void draw_png_word(draw_buffer *b, unsigned long v)
{
    char s[4];
    int k;
    for (k = 0; k < 4; k++) s[k] = (char)(v >> (24 - 8 * k) & 255);
    draw_add(b, s, 4);
}
DRAW_API void draw_png_chunk(draw_buffer *b, const char *name, const void *data, size_t size)
{
    unsigned long crc = 0xFFFFFFFFul;
    size_t i, start = b->size + 4;
    int k;
    draw_png_word(b, (unsigned long)size);
    draw_add(b, name, 4);
    draw_add(b, (const char *)data, size);
    if (b->failed) return;
    for (i = start; i < b->size; i++) {
        crc ^= (unsigned char)b->data[i];
        for (k = 0; k < 8; k++) crc = crc & 1 ? crc >> 1 ^ 0xEDB88320ul : crc >> 1;
    }
    draw_png_word(b, crc ^ 0xFFFFFFFFul);
}

/* Pixels are 0 (transparent) or 1 + a class of the scale. */
DRAW_API void draw_png(draw_buffer *b, const unsigned char *pixel, int cols, int rows, draw_scale scale, int dark)
{
    unsigned char palette[3 * (DRAW_LEVELS + 1)], head[13];
    draw_buffer raw, packed;
    int k, count = 1 + (scale == DRAW_KINDS ? DRAW_COLOURS : DRAW_LEVELS);
    memset(&raw, 0, sizeof raw);
    memset(&packed, 0, sizeof packed);
    memset(palette, 0, sizeof palette);
    for (k = 1; k < count; k++) {
        unsigned c = draw_colour(scale, k - 1, dark);
        palette[3 * k] = (unsigned char)(c >> 16);
        palette[3 * k + 1] = (unsigned char)(c >> 8 & 255);
        palette[3 * k + 2] = (unsigned char)(c & 255);
    }
    for (k = 0; k < 4; k++) {
        head[k] = (unsigned char)(cols >> (24 - 8 * k) & 255);
        head[4 + k] = (unsigned char)(rows >> (24 - 8 * k) & 255);
    }
    memcpy(head + 8, "\x08\x03\x00\x00\x00", 5); /* 8 bits, a palette */
    for (k = 0; k < rows; k++) {
        draw_add(&raw, "", 1); /* every row begins with its filter: none */
        draw_add(&raw, (const char *)pixel + (size_t)k * (size_t)cols, (size_t)cols);
    }
    if (!raw.failed) draw_pack(&packed, (const unsigned char *)raw.data, raw.size, (size_t)cols + 1);
    draw_add(b, "\x89PNG\r\n\x1a\n", 8);
    draw_png_chunk(b, "IHDR", head, 13);
    draw_png_chunk(b, "PLTE", palette, 3 * (size_t)count);
    draw_png_chunk(b, "tRNS", "", 1);
    draw_png_chunk(b, "IDAT", packed.data, packed.size);
    draw_png_chunk(b, "IEND", "", 0);
    if (raw.failed || packed.failed) b->failed = 1;
    free(raw.data);
    free(packed.data);
}

/* An image in the picture, once for light and once for dark. */
DRAW_API void draw_image(draw *d, const double *box, const unsigned char *pixel, int cols, int rows, draw_scale scale)
{
    int dark;
    for (dark = 0; dark < 2; dark++) {
        draw_buffer png;
        memset(&png, 0, sizeof png);
        draw_png(&png, pixel, cols, rows, scale, dark);
        draw_number(&d->out, dark ? "<image class=\"night\" x=\"" : "<image class=\"day\" x=\"", box[0]);
        draw_number(&d->out, "\" y=\"", box[1]);
        draw_number(&d->out, "\" width=\"", box[2]);
        draw_number(&d->out, "\" height=\"", box[3]);
        draw_put(&d->out, "\" preserveAspectRatio=\"none\" href=\"data:image/png;base64,");
        if (!png.failed) draw_base64(&d->out, (const unsigned char *)png.data, png.size);
        draw_put(&d->out, "\"/>\n");
        if (png.failed) d->out.failed = 1;
        free(png.data);
    }
}

/* ---- colour scales and heat maps ---- */

/* A bar of colours with numbers: from 0 (or -most) at the left to most at the right, the label above, 48 pixels high.
 * beyond: there are values beyond the end, which a sign at its number says. */
DRAW_API void draw_scale_bar(draw *d, double x, double y, double width, draw_scale scale, double most,
                             const char *label, int beyond)
{
    char s[48], classes[24], number[40];
    int k, ticks = scale == DRAW_SIGNED ? 5 : 3;
    draw_text(d, x, y + 10, 12, 's', "soft", label);
    for (k = 0; k < DRAW_LEVELS; k++) {
        snprintf(classes, sizeof classes, "f %c%d", draw_letter(scale), k);
        draw_rect(d, x + width * k / DRAW_LEVELS, y + 17, width / DRAW_LEVELS + 0.4, 11, classes, NULL);
    }
    for (k = 0; k < ticks; k++) {
        double share = (double)k / (ticks - 1), where = x + width * share;
        const char *sign = "";
        if (beyond && k == ticks - 1) sign = "\xE2\x89\xA5";
        if (beyond && !k && scale == DRAW_SIGNED) sign = "\xE2\x89\xA4";
        draw_tick_text(scale == DRAW_SIGNED ? most * (2 * share - 1) : most * share, 0, number, sizeof number);
        snprintf(s, sizeof s, "%s%s", sign, number);
        draw_line(d, where, y + 28, where, y + 32, "axis");
        draw_text(d, where, y + 43, 11, k ? 'm' : 's', "", s);
    }
}

/* A number of few digits, not far above v: a scale's end. */
DRAW_API double draw_round_up(double v)
{
    double step;
    if (!(v > 0) || !isfinite(v)) return 1;
    step = draw_step(v, 5);
    return step * ceil(v / step - 1e-9);
}

typedef struct draw_heat {
    double left, top, width, height;
    const double *value; /* rows x cols; NaN: nothing is drawn */
    int rows, cols;
    draw_scale scale;    /* DRAW_AMOUNT or DRAW_SIGNED */
    double most;         /* the scale's end */
    const char *const *row_name, *const *col_name; /* for the pointer; NULL: none */
} draw_heat;

/* Squares coloured by value: rectangles, which can be pointed at, up to 1,600 of them, an image beyond. Negative ones
 * carry a dash where there is room. */
DRAW_API void draw_heat_map(draw *d, const draw_heat *h)
{
    double w = h->width / h->cols, t = h->height / h->rows, box[4];
    long count = (long)h->rows * h->cols, i;
    int fine = h->cols > 100 || h->rows > 100 ? 1 : 4, u; /* pixels a square: what smooths images leaves its middle */
    draw_rect(d, h->left, h->top, h->width, h->height, "panel", NULL);
    if (count > 1600) {
        unsigned char *pixel = (unsigned char *)malloc((size_t)(count * fine * fine));
        if (!pixel) {
            d->out.failed = 1;
            return;
        }
        for (i = 0; i < count; i++) {
            double v = h->value[i];
            unsigned char *at = pixel + i / h->cols * fine * fine * h->cols + i % h->cols * fine;
            for (u = 0; u < fine * fine; u++)
                at[u / fine * fine * h->cols + u % fine] =
                    (unsigned char)(isfinite(v) ? 1 + draw_level(h->scale, v, h->most) : 0);
        }
        box[0] = h->left;
        box[1] = h->top;
        box[2] = h->width;
        box[3] = h->height;
        draw_image(d, box, pixel, fine * h->cols, fine * h->rows, h->scale);
        free(pixel);
    }
    for (i = 0; i < count && count <= 1600; i++) {
        double v = h->value[i], x = h->left + w * (double)(i % h->cols), y = h->top + t * (double)(i / h->cols);
        char classes[24], says[300];
        if (!isfinite(v)) continue;
        snprintf(classes, sizeof classes, "f %c%d", draw_letter(h->scale), draw_level(h->scale, v, h->most));
        if (h->row_name && h->col_name)
            snprintf(says, sizeof says, "%.90s, %.90s: %.3g", h->row_name[i / h->cols], h->col_name[i % h->cols], v);
        draw_rect(d, x, y, w, t, classes, h->row_name && h->col_name ? says : NULL);
    }
    if (h->scale != DRAW_SIGNED || w < 7 || t < 7) return;
    draw_put(&d->out, "<path class=\"cut\" stroke-width=\"1.2\" d=\"M0 0");
    for (i = 0; i < count; i++) {
        if (!(h->value[i] < -0.25 * h->most)) continue;
        draw_number(&d->out, "M", h->left + w * ((double)(i % h->cols) + 0.5) - 0.25 * (w < 32 ? w : 32));
        draw_number(&d->out, " ", h->top + t * ((double)(i / h->cols) + 0.5));
        draw_number(&d->out, "h", 0.5 * (w < 32 ? w : 32));
    }
    draw_put(&d->out, "\"/>\n");
}

/* ---- labels of many things ---- */

/* Places for labels that want to be at `want` (rising) with `gap` between them in 0 .. length: the mean of the places
 * that pushing forwards and pushing backwards give, which both keep the gaps. */
DRAW_API void draw_spread(const double *want, double *place, int count, double gap, double length)
{
    double low = 0, high = length;
    int i;
    for (i = 0; i < count; i++) {
        double least = gap * (i + 0.5), most = length - gap * (count - i - 0.5), x = want[i];
        x = x < least ? least : x > most ? most : x;
        place[i] = i && x < low + gap ? low + gap : x;
        low = place[i];
    }
    /* A run that was pushed beyond the end comes back; then the other way round for the mean. */
    for (i = count - 1; i >= 0; i--) {
        double most = length - gap * (count - i - 0.5);
        if (place[i] > most) place[i] = most;
        if (i + 1 < count && place[i] > place[i + 1] - gap) place[i] = place[i + 1] - gap;
    }
    for (i = count - 1; i >= 0; i--) {
        double least = gap * (i + 0.5), most = length - gap * (count - i - 0.5), x = want[i];
        x = x < least ? least : x > most ? most : x;
        if (i + 1 < count && x > high - gap) x = high - gap;
        high = x;
        place[i] = 0.5 * (place[i] + x);
    }
}

/* Names of the rows (turned 0, at the right of x, from y down) or columns (turned 1, above y, from x on) of a matrix
 * whose side is `length` pixels. Where not all have room, those with the largest weight (NULL: evenly picked), with
 * leaders. */
typedef struct draw_labels {
    double x, y, length;
    int turned, count;
    const char *const *name;
    const double *weight;
    double room; /* for a name, in pixels, beyond which it is cut; 0: 80 */
} draw_labels;

DRAW_API int draw_falling(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* keep[i] 1 for the `room` things of the largest weight. */
DRAW_API void draw_keep(const double *weight, int count, int room, unsigned char *keep)
{
    double *sorted = (double *)malloc(sizeof(double) * (size_t)(count > 0 ? count : 1));
    int i, kept = 0, pass;
    memset(keep, 0, (size_t)count);
    if (!weight || !sorted) {
        for (i = 0; i < room; i++) keep[(int)((i + 0.5) * count / room)] = 1;
        free(sorted);
        return;
    }
    memcpy(sorted, weight, sizeof(double) * (size_t)count);
    qsort(sorted, (size_t)count, sizeof(double), draw_falling);
    for (pass = 0; pass < 2; pass++) /* those above the last that has room, then those equal to it */
        for (i = 0; i < count && kept < room; i++) {
            if (keep[i] || weight[i] < sorted[room - 1] || (!pass && !(weight[i] > sorted[room - 1]))) continue;
            keep[i] = 1;
            kept++;
        }
    free(sorted);
}

DRAW_API void draw_label_many(draw *d, const draw_labels *l)
{
    double step = l->length / l->count, size = step >= 7.2 ? (step > 13 ? 12 : 0.92 * step) : 8, gap = 9;
    double *want = (double *)malloc(sizeof(double) * 2 * (size_t)l->count), *place = want + l->count;
    unsigned char *keep = (unsigned char *)malloc((size_t)l->count);
    const char *name;
    char cut[256];
    int all = step >= 7.2, room = all ? l->count : (int)(l->length / gap), i, n = 0;
    if (!want || !keep) {
        d->out.failed = 1;
        free(want);
        free(keep);
        return;
    }
    if (all) memset(keep, 1, (size_t)l->count);
    else draw_keep(l->weight, l->count, room, keep);
    for (i = 0; i < l->count; i++)
        if (keep[i]) want[n++] = (i + 0.5) * step;
    if (all) memcpy(place, want, sizeof(double) * (size_t)n);
    else draw_spread(want, place, n, gap, l->length);
    for (i = 0, n = 0; i < l->count; i++) {
        double far = all ? 4 : 20, x = l->x + far, y = l->y - far;
        if (!keep[i]) continue;
        name = draw_cut(l->name[i], size, (l->room > 0 ? l->room : 80) - far, cut);
        if (l->turned) x = l->x + place[n];
        else y = l->y + place[n];
        if (!all && l->turned) {
            draw_number(&d->out, "<path class=\"axis\" stroke-width=\".6\" d=\"M", l->x + want[n]);
            draw_number(&d->out, " ", l->y - 1);
            draw_number(&d->out, "v-4L", l->x + place[n]);
            draw_number(&d->out, " ", l->y - 14);
            draw_put(&d->out, "v-4\"/>\n");
        } else if (!all) {
            draw_number(&d->out, "<path class=\"axis\" stroke-width=\".6\" d=\"M", l->x + 1);
            draw_number(&d->out, " ", l->y + want[n]);
            draw_number(&d->out, "h4L", l->x + 14);
            draw_number(&d->out, " ", l->y + place[n]);
            draw_put(&d->out, "h4\"/>\n");
        }
        if (l->turned) draw_turned(d, x + 0.36 * size, y, -90, size, 's', "", name);
        else draw_text(d, x, y + 0.36 * size, size, 's', "", name);
        n++;
    }
    free(want);
    free(keep);
}
#endif
