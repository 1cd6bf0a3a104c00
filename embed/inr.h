/* A decoder of .inr files in one header: C99 or C++, libc and libm alone. Written from formats/inr-1.0.md, whose sections it names.
   One file of a program says INR_IMPLEMENTATION:

       #define INR_IMPLEMENTATION
       #include "inr.h"
       int show(const void *data, size_t size) { // twice as large as it is
           inr_file *file;
           int code = inr_open(data, size, NULL, &file);
           if (code == INR_OK) {
               const size_t twice[2] = {2 * inr_about(file)->size[0], 2 * inr_about(file)->size[1]};
               float *values = (float *)malloc(inr_count(file, twice, NULL) * sizeof(float));
               code = values ? inr_grid(file, twice, NULL, 0, values) : INR_MEMORY;
               free(values);
           } else { fprintf(stderr, "%s\n", inr_error(file)); }
           inr_close(file); return code; }
   Refused as unsupported: missing samples (zstd, codec 7), windows of sound, text with combining marks, whose normal form it cannot judge.
   Of files with a residual it gives the function alone, and only if asked to. It evaluates in double precision. Many threads may read one inr_file.
   The data may go after inr_open. INR_MALLOC and INR_FREE may be defined before. Blocks are closed behind their last statement, to keep it short. */
#ifndef INR_H
#define INR_H
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif
enum { INR_OK = 0, INR_MEMORY = 1, INR_MISUSE = 2, INR_CORRUPT = 4, INR_UNSUPPORTED = 5, INR_LIMIT = 6 };
enum { INR_FUNCTION_ALONE = 1 }; /* a flag: the nominal grid without its residual */
typedef struct { size_t elements, samples; } inr_limits; /* of all tensors together, 8 bytes each; evaluated by one call. 0: 2^25, 2^26 */
typedef struct {
    char kind[8]; /* image, volume, shape, audio, video, field */
    char type[8]; /* of the source's samples: uint8 ... float64; of codes uint8 or uint16 */
    size_t size[4], axes, channels; /* nominal samples per axis, slowest first */
    int bits, codes, residual; /* of a code; whether samples are codes, and have corrections on the nominal grid */
    double lo[4], hi[4], affine[25]; /* borders of the axes, in the coordinates of inr_at; section 2, zeros where there is none */
} inr_info; typedef struct inr_file inr_file;
/* Opens a file. Also when it fails *out is to be closed, and says why; it is NULL only without any memory. limits may be NULL. */
int inr_open(const void *data, size_t size, const inr_limits *limits, inr_file **out);
const char *inr_error(const inr_file *file);
const inr_info *inr_about(const inr_file *file);
void inr_close(inr_file *file);
/* Numbers at n points, axes coordinates each, not clipped: n * channels of them. */
int inr_at(const inr_file *file, const double *points, size_t n, float *values);
/* How many numbers the grid of size samples per axis has, or its part from region[2 k] to region[2 k + 1], in nominal samples, of axis k.
   NULL: the nominal grid; all of it. 0: the arguments fit no grid of the file, or it has too many for a size_t. */
size_t inr_count(const inr_file *file, const size_t *size, const double *region);
/* These numbers, in C order, the channel last: clipped, averaged where the grid is coarser than the nominal one. */
int inr_grid(const inr_file *file, const size_t *size, const double *region, unsigned flags, float *values);
/* The same as codes, where samples are codes: of up to 8 bits uint8_t, above uint16_t. */
int inr_codes(const inr_file *file, const size_t *size, const double *region, unsigned flags, void *codes);
#ifdef __cplusplus
}
#endif
#endif
#if defined(INR_IMPLEMENTATION) && !defined(INR_IMPLEMENTED)
#define INR_IMPLEMENTED
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef INR_MALLOC
#define INR_MALLOC malloc
#define INR_FREE free
#endif
#define INR_BLOCK 16 /* points that are evaluated side by side */
#define INR_LAPLACE 392
typedef union inr_memory { union inr_memory *next; double align[2]; } inr_memory;
typedef struct { const uint8_t *at; size_t size; } inr_bytes; typedef struct { unsigned letters; uint16_t *start; } inr_model;
typedef struct { char type; int64_t whole; double real; size_t count, at; } inr_value; /* type: i f b n s x(binary) l(ist) m(ap) */
typedef struct { const char *key; char type; int optional; double least, most; } inr_rule; /* an upper case type: a list of such */
typedef struct { inr_bytes data; size_t lanes, lane, word, words_end, end; uint32_t state[1024]; } inr_stream;
typedef struct { float scale; size_t side, entries; int taps, dense; } inr_level; typedef struct { double scale, offset, low, high; } inr_channel;
typedef struct { char name[24]; size_t shape[2], rank, count; int axis, codec; inr_bytes part; float *value; int32_t *symbol; } inr_tensor;
typedef struct { int32_t *at; size_t stride; int64_t size[3]; } inr_plane;
typedef struct { size_t axes, inputs, neurons, columns; int32_t *a1, *a2, *b, *bias; } inr_context;
struct inr_file {
    jmp_buf escape; int code; const char *text; inr_info info; inr_limits limits; inr_memory *kept, *passing; inr_bytes head, data;
    int net, icc, dtype, valid, context; /* net: 0 siren.1, 1 msa.1, 2 sasnet.1, 3 sasnet.2; dtype: an index of inr_types, -1 for codes */
    size_t layers, h, n0, low, band, bands, groups, wide, features, levels, width, masks, dense, tensors;
    double first_omega, omega, period, stretch[4]; /* of msa.1 s_min and s_max are the omegas */
    inr_level level[64]; inr_channel *channel; inr_tensor *tensor; inr_model model[INR_LAPLACE + 4096]; int logs[256]; };
static void inr_fail(inr_file *f, int code, const char *text) { f->code = code; f->text = text; longjmp(f->escape, 1); }
static void inr_must(inr_file *f, int right, int code, const char *text) { if (!right) inr_fail(f, code, text); }
static void inr_need(inr_file *f, int right, const char *text) { inr_must(f, right, INR_CORRUPT, text); }
static void *inr_new(inr_file *f, inr_memory **list, size_t count, size_t size) {
    inr_memory *found = count > (SIZE_MAX / 2) / size ? NULL : (inr_memory *)INR_MALLOC(sizeof(inr_memory) + count * size);
    inr_must(f, found != NULL, INR_MEMORY, "not enough memory"); memset(found, 0, sizeof(inr_memory) + count * size); found->next = *list; *list = found;
    return found + 1; }
static void inr_release(inr_memory **list) { while (*list) { inr_memory *next = (*list)->next; INR_FREE(*list); *list = next; } }
/* ---- Section 1: chunks and canonical msgpack ---- */
static uint32_t inr_little(const uint8_t *p, int width) { return width ? p[0] | inr_little(p + 1, width - 1) << 8 : 0; }
static uint32_t inr_crc(const uint8_t *p, size_t size) {
    static const uint32_t table[16] = {0, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = 0xffffffff; for (; size--; p++) { crc = table[(crc ^ *p) & 15] ^ crc >> 4; crc = table[(crc ^ (uint32_t)(*p >> 4)) & 15] ^ crc >> 4; }
    return ~crc; }
static void inr_chunks(inr_file *f, inr_bytes file) {
    size_t at = 8, count = 0, k; int done = 0, apart = 0, known; uint8_t *joined = (uint8_t *)inr_new(f, &f->passing, file.size, 1);
    inr_need(f, file.size >= 8 && !memcmp(file.at, "\x89INR\r\n\x1a\n", 8), "not an .inr file"); f->data.at = joined; for (; at < file.size; count++) {
        const uint8_t *name = file.at + at + 4 * (file.size - at >= 12); size_t length = file.size - at < 12 ? SIZE_MAX : inr_little(file.at + at, 4);
        inr_need(f, length < 0x80000000 && length <= file.size - at - 12, "the file ends within a chunk");
        for (k = 0; k < 4; k++) inr_need(f, (name[k] | 32) >= 'a' && (name[k] | 32) <= 'z' && (k != 2 || name[k] < 'a'), "not a chunk's name");
        inr_need(f, inr_crc(name, length + 4) == inr_little(name + 4 + length, 4), "wrong CRC of a chunk");
        known = name[0] >= 'a' || !memcmp(name, "HEAD", 4) || !memcmp(name, "DATA", 4) || !memcmp(name, "DONE", 4);
        inr_must(f, known, INR_UNSUPPORTED, "unknown critical chunk");
        inr_must(f, count < 1024 && (name[0] < 'a' || length <= 1 << 24), INR_LIMIT, "too many chunks, or too long ones");
        inr_need(f, !done && !memcmp(name, "HEAD", 4) == !count, "HEAD is not the first chunk, once, or something follows DONE");
        if (!count) { f->head.at = name + 4; f->head.size = length; }
        f->icc |= !memcmp(name, "iCCP", 4); if (!memcmp(name, "DATA", 4)) {
            inr_need(f, apart < 2, "other chunks among the DATA chunks"); apart = 1; memcpy(joined + f->data.size, name + 4, length); f->data.size += length;
        } else { apart = apart ? 2 : 0; }
        done = !memcmp(name, "DONE", 4); inr_need(f, !done || !length, "DONE is not empty"); at += length + 12; }
    inr_need(f, done && apart, "no DONE, or no DATA"); }
static void inr_text(inr_file *f, const uint8_t *p, size_t size) {
    size_t i = 0, more, k; while (i < size) {
        uint32_t first = p[i], c = first; more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        inr_need(f, (first < 0x80 || (first >= 0xc2 && first < 0xf5)) && more < size - i, "a string not in UTF-8"); if (more) c &= 63u >> more;
        for (k = 1; k <= more; k++) { inr_need(f, (p[i + k] & 0xc0) == 0x80, "a string not in UTF-8"); c = c << 6 | (p[i + k] & 63u); }
        inr_need(f, c >= (more == 3 ? 0x10000u : more == 2 ? 0x800u : 0u) && c < 0x110000 && (c < 0xd800 || c > 0xdfff), "a string not in UTF-8");
        inr_must(f, c < 0x300 || c >= 0x370, INR_UNSUPPORTED, "this decoder knows no Unicode normal forms: text with combining marks"); i += more + 1; } }
static inr_value inr_wide(inr_file *f, unsigned tag, size_t at) {
    static const uint8_t widths[33] = "\0\0\0\0\1\2\4\0\0\0\4\10\1\2\4\10\1\2\4\10\0\0\0\0\0\1\2\4\2\4\2\4"; /* c0 to df */
    unsigned width = widths[tag - 0xc0], k;
    uint64_t n = 0, least = tag == 0xcc ? 128 : tag == 0xd9 ? 32 : tag == 0xdc || tag == 0xde ? 16 : width == 1 ? 0 : (uint64_t)1 << 4 * width; inr_value v;
    memset(&v, 0, sizeof v); inr_need(f, width && width <= f->head.size - at, "an extension type, or the map ends early");
    for (k = 0; k < width; k++) n = n << 8 | f->head.at[at + k];
    v.at = at + width; v.type = tag < 0xc7 ? 'x' : tag < 0xcc ? 'f' : tag < 0xd4 ? 'i' : tag < 0xdc ? 's' : tag < 0xde ? 'l' : 'm';
    if (v.type == 'f' && width == 4) {
        uint32_t bits = (uint32_t)n; float real; memcpy(&real, &bits, 4); v.real = (double)real;
    } else if (v.type == 'f') {
        memcpy(&v.real, &n, 8); inr_need(f, !(fabs(v.real) <= (double)FLT_MAX && (double)(float)v.real == v.real), "a float not in its shortest form");
    } else if (tag >= 0xd0 && tag < 0xd4) {
        uint64_t sign = (uint64_t)1 << (8 * width - 1); inr_need(f, (n & sign) != 0, "an integer not in its shortest form");
        v.whole = -(int64_t)((sign | (sign - 1)) - n) - 1;
        inr_need(f, v.whole < -(width == 1 ? 32 : (int64_t)1 << (4 * width - 1)), "an integer not in its shortest form");
    } else { inr_need(f, n >= least, "a number not in its shortest form"); v.whole = n > INT64_MAX ? INT64_MAX : (int64_t)n; v.count = (size_t)n; }
    inr_need(f, fabs(v.real) <= DBL_MAX, "a float that is not finite"); return v; }
static inr_value inr_read(inr_file *f, size_t at) {
    inr_value v; unsigned tag; inr_need(f, at < f->head.size, "the map ends early"); tag = f->head.at[at++]; memset(&v, 0, sizeof v); v.at = at;
    if (tag < 0x80 || tag >= 0xe0) { v.type = 'i'; v.whole = (int64_t)tag - (tag >= 0xe0 ? 256 : 0); }
    else if (tag < 0xc0) { v.type = tag < 0x90 ? 'm' : tag < 0xa0 ? 'l' : 's'; v.count = tag & (tag < 0xa0 ? 15 : 31); }
    else if (tag == 0xc0) v.type = 'n';
    else if (tag == 0xc2 || tag == 0xc3) { v.type = 'b'; v.whole = tag & 1; }
    else v = inr_wide(f, tag, at);
    if (v.type == 's' || v.type == 'x') inr_need(f, v.count <= 65536 && v.count <= f->head.size - v.at, "a string too long");
    if (v.type == 'l' || v.type == 'm') inr_need(f, v.count <= 4096, "too many entries");
    if (v.type == 's') inr_text(f, f->head.at + v.at, v.count);
    return v; }
static int inr_order(const inr_file *f, inr_value a, inr_value b) {
    int found = memcmp(f->head.at + a.at, f->head.at + b.at, a.count < b.count ? a.count : b.count);
    return found ? found : a.count < b.count ? -1 : a.count > b.count; }
static size_t inr_end(inr_file *f, size_t at, int depth) { /* where the value at a place ends */
    inr_value v = inr_read(f, at), key, last = v; size_t i; if (v.type != 'l' && v.type != 'm') return v.at + (v.type == 's' || v.type == 'x' ? v.count : 0);
    inr_need(f, depth <= 16, "nested too deep"); for (i = 0, at = v.at; i < v.count; i++) {
        if (v.type == 'm') {
            key = inr_read(f, at); inr_need(f, key.type == 's' && (!i || inr_order(f, last, key) < 0), "keys that are not strings, not sorted or not distinct");
            at = key.at + key.count; last = key; }
        at = inr_end(f, at, depth + 1); } return at; }
/* ---- Section 2: HEAD ---- */
static int inr_is(const inr_file *f, inr_value v, const char *text) {
    return v.type == 's' && v.count == strlen(text) && !memcmp(f->head.at + v.at, text, v.count); }
static void inr_typed(inr_file *f, size_t at, const inr_rule *rule) {
    inr_value v = inr_read(f, at), item; double measure = v.type == 'f' ? v.real : v.type == 'i' || v.type == 'b' ? (double)v.whole : (double)v.count;
    size_t i; inr_need(f, v.type == (rule->type < 'a' ? 'l' : rule->type), "a value of the wrong type");
    for (i = 0, at = v.at; rule->type < 'a' && i < v.count; i++, at = inr_end(f, at, 1)) {
        item = inr_read(f, at); inr_need(f, item.type == (rule->type | 32), "an entry of the wrong type"); }
    inr_need(f, (rule->least == 0 && rule->most == 0) || (rule->least <= measure && measure <= rule->most), "a value out of range"); }
/* Where the values of a map, or of a list in the order of the rules, are; 0: absent. */
static void inr_check(inr_file *f, size_t at, char type, const inr_rule *rules, size_t count, size_t *found) {
    inr_value v = inr_read(f, at), key; size_t i, k;
    memset(found, 0, count * sizeof *found); inr_need(f, v.type == type && (type == 'm' || v.count == count), "not the map or the list that belongs here");
    for (i = 0, at = v.at; i < v.count; i++, at = inr_end(f, at, 1)) {
        k = i; if (type == 'm') {
            key = inr_read(f, at); for (k = 0; k < count && !inr_is(f, key, rules[k].key); k++) continue;
            inr_need(f, k < count, "an unknown key"); at = key.at + key.count; }
        inr_typed(f, at, &rules[k]); found[k] = at; }
    for (k = 0; k < count; k++) inr_need(f, found[k] || rules[k].optional, "a key is missing"); }
static double inr_real(inr_file *f, size_t at, double absent) { return at ? inr_read(f, at).real : absent; }
static size_t inr_whole(inr_file *f, size_t at) { return (size_t)inr_read(f, at).whole; }
static double inr_entry(inr_file *f, size_t at, size_t i) { /* a number of a list */
    inr_value v; for (at = inr_read(f, at).at; i--;) at = inr_end(f, at, 1);
    v = inr_read(f, at); return v.type == 'f' ? v.real : (double)v.whole; }
static int inr_named(inr_file *f, inr_value v, const char *names, char *out) { /* which word of names; -1 if none */
    char word[12]; int at = 0, length, index = 0; for (; sscanf(names + at, "%11s%n", word, &length) == 1; at += length, index++) {
        if (!inr_is(f, v, word)) continue;
        memcpy(out, word, strlen(word) + 1); return index; } return -1; }
static void inr_required(inr_file *f, size_t at) {
    inr_value v = inr_read(f, at), item, key, last = v; size_t i, k, known = 0;
    at = v.at; for (i = 0; i < v.count && !inr_is(f, key = inr_read(f, at), "req"); i++) at = inr_end(f, key.at + key.count, 1);
    inr_need(f, i < v.count, "no req"); v = inr_read(f, key.at + key.count);
    inr_need(f, v.type == 'l', "req is not a list"); for (k = 0, at = v.at; k < v.count; k++, at = item.at + item.count, last = item) {
        item = inr_read(f, at); inr_need(f, item.type == 's' && (!k || inr_order(f, last, item) < 0), "req is not a sorted list of names");
        known += (size_t)inr_is(f, item, "residual"); }
    inr_must(f, known == v.count, INR_UNSUPPORTED, "a feature in req that this decoder does not know"); f->info.residual = known == 1; }
static void inr_axes(inr_file *f, size_t at) {
    static const inr_rule rules[] = {{"name", 's', 0, 0, 0}, {"n", 'i', 0, 1, 2147483648.0}, {"lo", 'f', 1, 0, 0}, {"hi", 'f', 1, 0, 0}};
    inr_value v = inr_read(f, at); size_t found[4], k; f->info.axes = v.count; for (k = 0, at = v.at; k < v.count; k++, at = inr_end(f, at, 1)) {
        inr_check(f, at, 'm', rules, 4, found); f->info.size[k] = inr_whole(f, found[1]);
        f->info.lo[k] = inr_real(f, found[2], -1); f->info.hi[k] = inr_real(f, found[3], 1);
        inr_need(f, f->info.lo[k] < f->info.hi[k], "an axis without extent"); } }
static const char inr_types[] = "uint8 int8 uint16 int16 uint32 int32 float16 float32 float64";
static void inr_out(inr_file *f, size_t at, int shape) {
    static const inr_rule rules[] = {{"channels", 'M', 0, 1, 4096}, {"bits", 'i', 0, 1, 16}, {"dtype", 's', 1, 0, 0}, {"valid", 'b', 1, 1, 1}, {"residual", 'm', 1, 0, 0}};
    static const inr_rule channels[] = {{"name", 's', 0, 0, 0}, {"role", 's', 0, 0, 0}, {"scale", 'f', 0, 0, 0}, {"offset", 'f', 0, 0, 0}, {"low", 'f', 1, 0, 0}, {"high", 'f', 1, 0, 0}};
    static const inr_rule residual[] = {{"bound", 'f', 0, 0, HUGE_VAL}, {"step", 'f', 0, 5e-324, HUGE_VAL}, {"tolerance", 'f', 0, 5e-324, HUGE_VAL}};
    size_t found[6], k; inr_value v; inr_channel *c; char word[12];
    double least = -HUGE_VAL, most = HUGE_VAL; inr_check(f, at, 'm', rules, 5, found); v = inr_read(f, found[0]); f->info.channels = v.count;
    f->info.bits = (int)inr_whole(f, found[1]); f->info.codes = !found[2];
    f->valid = found[3] != 0; f->dtype = inr_named(f, inr_read(f, found[2] ? found[2] : found[1]), inr_types, f->info.type);
    inr_need(f, (!found[2] || f->dtype >= 0) && (!found[3] || f->dtype >= 6), "unknown dtype, or valid not beside a floating one");
    if (f->dtype >= 0 && f->dtype < 6) {
        int bits = 8 << f->dtype / 2, is_signed = f->dtype & 1; least = is_signed ? -ldexp(1, bits - 1) : 0; most = ldexp(1, bits - is_signed) - 1; }
    if (f->info.codes) strcpy(f->info.type, f->info.bits <= 8 ? "uint8" : "uint16");
    inr_need(f, (found[4] != 0) == f->info.residual && !(found[4] && shape), "a residual out of place");
    f->channel = (inr_channel *)inr_new(f, &f->kept, v.count, sizeof *f->channel); at = found[4];
    for (k = 0, c = f->channel; k < v.count; k++, c++, v.at = inr_end(f, v.at, 1)) {
        inr_check(f, v.at, 'm', channels, 6, found); c->scale = inr_real(f, found[2], 1);
        c->offset = inr_real(f, found[3], 0); c->low = inr_real(f, found[4], 0);
        c->high = inr_real(f, found[5], 1); inr_need(f, inr_named(f, inr_read(f, found[1]), "color alpha value sdf", word) >= 0, "an unknown role");
        inr_need(f, least <= c->low && c->low < c->high && c->high <= most && !(f->info.codes && (found[4] || found[5])), "wrong low or high");
        inr_need(f, !shape || (v.count == 1 && !f->info.codes && inr_is(f, inr_read(f, found[1]), "sdf")), "not the HEAD of a shape"); }
    if (at) inr_check(f, at, 'm', residual, 3, found); }
static void inr_space(inr_file *f, size_t at, int shape) {
    static const inr_rule rules[] = {{"spacing", 'F', 0, 0, 0}, {"affine", 'F', 1, 0, 0}, {"units", 's', 1, 0, 0}};
    size_t found[3] = {0, 0, 0}, k, count = 0; const double *a = f->info.affine; double volume; if (at) {
        inr_check(f, at, 'm', rules, 3, found); inr_need(f, inr_read(f, found[0]).count == f->info.axes, "spacing of the wrong length"); }
    if (found[1]) {
        count = inr_read(f, found[1]).count; for (k = 1; k <= f->info.axes && count != (k + 1) * (k + 1); k++) continue;
        inr_need(f, k <= f->info.axes, "affine of the wrong length"); for (k = 0; k < count; k++) f->info.affine[k] = inr_entry(f, found[1], k); }
    inr_need(f, !shape || (f->info.axes == 3 && count == 16), "not the HEAD of a shape");
    volume = a[0] * (a[5] * a[10] - a[6] * a[9]) + a[1] * (a[6] * a[8] - a[4] * a[10]) + a[2] * (a[4] * a[9] - a[5] * a[8]);
    inr_need(f, !shape || volume != 0, "a shape whose affine cannot be inverted"); }
static void inr_head(inr_file *f, size_t *net, size_t *tens) {
    static const inr_rule rules[] = {{"kind", 's', 0, 0, 0}, {"level", 'i', 0, 0, 0}, {"req", 'S', 0, 0, 0}, {"axes", 'M', 0, 1, 4}, {"out", 'm', 0, 0, 0},
        {"net", 'l', 0, 0, 0}, {"tens", 'L', 0, 0, 0}, {"color", 'm', 1, 0, 0}, {"space", 'm', 1, 0, 0}, {"windows", 'm', 1, 0, 0}, {"opt", 'm', 1, 0, 0}};
    static const inr_rule color[] = {{"icc", 'b', 1, 0, 0}, {"source", 's', 1, 0, 0}};
    size_t found[11], colors[2]; int shape;
    inr_need(f, f->head.size > 2, "HEAD is empty"); inr_must(f, !f->head.at[0], INR_UNSUPPORTED, "unknown major version");
    inr_must(f, f->head.size <= 1 << 20, INR_LIMIT, "HEAD is too long");
    inr_need(f, inr_end(f, 2, 1) == f->head.size && inr_read(f, 2).type == 'm', "HEAD is not one map"); inr_required(f, 2);
    inr_check(f, 2, 'm', rules, 11, found);
    inr_must(f, inr_named(f, inr_read(f, found[0]), "image volume shape audio video field", f->info.kind) >= 0, INR_UNSUPPORTED, "unknown kind");
    inr_must(f, inr_read(f, found[1]).whole == 1, INR_UNSUPPORTED, "unknown level"); shape = !strcmp(f->info.kind, "shape");
    inr_axes(f, found[3]); inr_out(f, found[4], shape); if (found[7]) {
        inr_check(f, found[7], 'm', color, 2, colors); inr_need(f, f->icc || !colors[0] || !inr_read(f, colors[0]).whole, "no iCCP chunk"); }
    inr_space(f, found[8], shape); inr_must(f, !found[9], INR_UNSUPPORTED, "this decoder has no windows"); *net = found[5]; *tens = found[6]; }
/* ---- Sections 4 to 7: symbols, models, streams, lattices ---- */
static uint64_t inr_leb128(inr_file *f, inr_bytes data, size_t *at) {
    uint64_t found = 0; int k = 0; for (;; k++) {
        inr_need(f, k < 5 && *at < data.size, "a number that is cut off or too long"); found |= (uint64_t)(data.at[*at] & 127) << 7 * k;
        if (data.at[(*at)++] < 128) break; } inr_need(f, !k || data.at[*at - 1], "a number not in its shortest form"); return found; }
static unsigned inr_tail_model(unsigned z, unsigned t, uint16_t *start) { /* section 5: its letters */
    uint32_t n = 64880, d = 65000, rest, f, a = 1; while (z--) n = (uint32_t)((uint64_t)n * 57052 >> 16);
    while (t--) d = (uint32_t)((uint64_t)d * 58386 >> 16);
    f = 16384 - (n >> 2); rest = 16384 - (f > 16381 ? 16381 : f); start[0] = 0; start[1] = (uint16_t)(16384 - rest);
    for (; a < 2 * 4096 && 2 * (f = (uint32_t)((uint64_t)rest * d >> 17) + !((uint64_t)rest * d >> 17)) < rest; rest -= 2 * f, a += 2) {
        start[a + 1] = (uint16_t)(start[a] + f); start[a + 2] = (uint16_t)(start[a] + 2 * f); } start[a + 1] = 16384; return a + 1; }
static unsigned inr_laplace_model(unsigned number, uint16_t *start) { /* section 10: the model (j, q) of number 8 j + q + 4 */
    uint32_t decay = (uint32_t)(16777216 * exp(-pow(2, 1 - (number >> 3) / 4.0))), up[4098], down[4098], sum, a = 1; uint64_t p = 1 << 24;
    unsigned above = 8 - number % 8, below = number % 8, i; /* 4 - q, 4 + q */
    for (i = 0; i < 8 * 4098; i++, p = p * decay >> 24) {
        if (i % 8 == above % 8 && i >= above) up[(i - above) / 8] = (uint32_t)(p >> 11);
        if (i % 8 == below) down[i / 8] = (uint32_t)(p >> 11); } if (above == 8) up[4097] = (uint32_t)(p >> 11);
    for (start[0] = 0, start[1] = 0, i = 0; i < 4096; i++, a += 2) {
        if (i && (up[i] <= up[i + 1] || down[i] <= down[i + 1])) break;
        sum = up[i] > up[i + 1] ? up[i] - up[i + 1] : 1; start[a + 1] = (uint16_t)(start[a] + sum);
        start[a + 2] = (uint16_t)(start[a + 1] + (down[i] > down[i + 1] ? down[i] - down[i + 1] : 1)); }
    sum = 16384 - (start[a] + up[i] + down[i] + 1); for (i = 1; i <= a; i++) start[i] = (uint16_t)(start[i] + sum);
    start[a + 1] = 16384; return a + 1; }
static const inr_model *inr_model_of(inr_file *f, unsigned number) {
    inr_model *m = &f->model[number]; if (!m->start) {
        uint16_t start[2 * 4096 + 3]; unsigned tail = number - INR_LAPLACE;
        m->letters = number < INR_LAPLACE ? inr_laplace_model(number, start) : inr_tail_model(tail / 64, tail % 64, start);
        m->start = (uint16_t *)inr_new(f, &f->passing, m->letters + 1, 2); memcpy(m->start, start, 2 * (m->letters + 1)); } return m; }
static unsigned inr_tail_number(inr_file *f, const uint8_t *codes) {
    inr_need(f, codes[0] < 64 && codes[1] < 64, "a model's code beyond 63"); return INR_LAPLACE + codes[0] * 64u + codes[1]; }
static void inr_stream_open(inr_file *f, inr_stream *s, inr_bytes data) {
    size_t k, at = 1, words; inr_need(f, data.size >= 2 && data.at[0] <= 10, "a stream without lanes, or with too many");
    s->data = data; s->lanes = (size_t)1 << data.at[0]; s->lane = 0; words = (size_t)inr_leb128(f, data, &at);
    inr_need(f, data.size - at >= 4 * s->lanes && (data.size - at - 4 * s->lanes) / 2 >= words, "a stream shorter than its words");
    for (k = 0; k < s->lanes; k++, at += 4) inr_need(f, (s->state[k] = inr_little(data.at + at, 4)) >= 65536, "a state below 2^16");
    s->word = at; s->words_end = s->end = at + 2 * words; }
static int32_t inr_symbol(inr_file *f, inr_stream *s, unsigned number) {
    const inr_model *m = inr_model_of(f, number); uint32_t x = s->state[s->lane], slot = x & 16383;
    unsigned low = 0, high = m->letters, middle; uint64_t size, odd; while (high - low > 1) {
        middle = (low + high) / 2; if (m->start[middle] <= slot) low = middle; else high = middle; }
    x = (uint32_t)(m->start[low + 1] - m->start[low]) * (x >> 14) + slot - m->start[low]; if (x < 65536) {
        inr_need(f, s->word < s->words_end, "a stream with too few words"); x = x << 16 | inr_little(s->data.at + s->word, 2); s->word += 2; }
    s->state[s->lane] = x; s->lane = (s->lane + 1) & (s->lanes - 1); size = (low + 1) / 2; odd = low & 1; if (low == m->letters - 1) {
        uint64_t v = inr_leb128(f, s->data, &s->end); size += v >> 1; odd = ~v & 1; inr_need(f, size <= 1 << 30, "a symbol beyond 2^30"); }
    return odd ? (int32_t)size : -(int32_t)size; }
static void inr_stream_close(inr_file *f, const inr_stream *s) {
    size_t k; inr_need(f, s->word == s->words_end && s->end == s->data.size, "a stream that ends wrongly");
    for (k = 0; k < s->lanes; k++) inr_need(f, s->state[k] == 65536, "a stream that ends wrongly"); }
static inr_bytes inr_rest(inr_file *f, inr_bytes data, size_t at) {
    inr_need(f, at <= data.size, "a payload ends early"); data.at += at; data.size -= at; return data; }
static void inr_lattice(inr_file *f, inr_tensor *t) {
    inr_bytes part = t->part; size_t n = t->shape[0], d = t->shape[1], at = 16, end = part.size * 8, i, k;
    uint64_t half = 1, number = 0, before = 0, gap; int v[4] = {0, 0, 0, 0}, bound, shell = 1, largest;
    inr_need(f, part.size >= 2 && part.at[0] && part.at[1] <= 24, "a bound or Golomb-Rice code beyond its limits"); bound = part.at[0];
    for (k = 0; k < d; k++) half *= (uint64_t)(2 * bound + 1);
    inr_need(f, half <= 1 << 24, "a bound beyond its limits"); half = (half - 1) / 2;
#define INR_BIT(at) (part.at[(at) >> 3] >> (7 - ((at) & 7)) & 1)
    for (i = 0; i < n; i++) {
        for (gap = 0; at < end && INR_BIT(at); at++) gap++;
        inr_need(f, end - at > part.at[1], "the bits end early"); for (at++, k = 0; k < part.at[1]; k++, at++) gap = gap << 1 | (uint64_t)INR_BIT(at);
        number += 1 + gap; /* of vectors up to this one */
        inr_need(f, number <= half, "a vector beyond the half lattice"); while (before < number) {
            for (k = d; k-- && ++v[k] > shell;) v[k] = -shell;
            if (k == SIZE_MAX) { memset(v, 0, sizeof v); shell++; continue; }
            for (k = 0, largest = 0; k < d; k++) largest = abs(v[k]) > largest ? abs(v[k]) : largest;
            before += largest == shell; }
        for (k = 0; k < d; k++) t->value[i * d + k] = (float)v[k];
        for (k = 0; k < d; k++) inr_need(f, (size_t)abs(v[k]) <= f->band, "a frequency beyond the band"); }
    inr_need(f, end - at < 8, "padding of a byte"); for (; at < end; at++) inr_need(f, !INR_BIT(at), "padding that is not zero"); }
/* ---- Section 10: contexts ---- */
static int inr_log(const inr_file *f, int64_t v) { return v < 0 ? -f->logs[v < -255 ? 255 : -v] : f->logs[v > 255 ? 255 : v]; }
static int64_t inr_shift(int64_t v, int n) { return v < 0 ? ~(~v >> n) : v >> n; }
static int64_t inr_clip(int64_t v, int64_t low, int64_t high) { return v < low ? low : v > high ? high : v; }
static void inr_context_net(inr_file *f, inr_context *c, inr_bytes part, size_t axes, size_t columns) {
    inr_stream s; unsigned model;
    size_t k, count; inr_need(f, part.size > 3 && part.at[0] >= 1 && part.at[0] <= 64, "a context network without neurons, or with too many");
    c->axes = axes; c->inputs = axes == 2 ? 11 : 21; c->neurons = part.at[0]; c->columns = columns;
    count = c->neurons * (c->inputs + 3) + 2 * c->inputs + 2 * columns; c->a1 = (int32_t *)inr_new(f, &f->passing, count, 4);
    c->a2 = c->a1 + c->neurons * (c->inputs + 1); c->b = c->a2 + 2 * c->neurons; c->bias = c->b + 2 * c->inputs; model = inr_tail_number(f, part.at + 1);
    inr_stream_open(f, &s, inr_rest(f, part, 3)); for (k = 0; k < count; k++) {
        c->a1[k] = inr_symbol(f, &s, model); inr_need(f, c->a1[k] >= -32768 && c->a1[k] <= 32768, "a weight beyond 2^15"); } inr_stream_close(f, &s); }
static int64_t inr_near(const inr_plane *p, int64_t z, int64_t y, int64_t x) { /* 0 outside */
    int inside = z >= 0 && y >= 0 && x >= 0 && z < p->size[0] && y < p->size[1] && x < p->size[2];
    return inside ? p->at[(size_t)((z * p->size[1] + y) * p->size[2] + x) * p->stride] : 0; }
/* The inputs of the vertex i, the axes counted as three; 16 stands behind them, for the biases. */
static void inr_inputs(const inr_file *f, size_t level, const inr_plane *own, const inr_plane *parent, const inr_plane *last, const int64_t *i, int deep, int *x) {
    int64_t p[3] = {0, 0, 0}, sum = 0, all = 0, v; int k, o[3];
    for (o[0] = -deep; o[0] <= deep; o[0]++) for (o[1] = -1; o[1] <= 1; o[1]++) for (o[2] = -1; o[2] <= 1; o[2]++) {
        if (9 * o[0] + 3 * o[1] + o[2] >= 0) continue;
        v = inr_near(own, i[0] + o[0], i[1] + o[1], i[2] + o[2]); sum += v < 0 ? -v : v; *x++ = inr_log(f, v); }
    for (k = !deep; k < 3; k++) *x++ = inr_log(f, inr_near(own, i[0] - 2 * (k == 0), i[1] - 2 * (k == 1), i[2] - 2 * (k == 2)));
    *x++ = inr_log(f, sum); if (parent) {
        for (k = 0; k < 3; k++) p[k] = own->size[k] < 2 ? 0 : (2 * i[k] * (parent->size[k] - 1) + own->size[k] - 1) / (2 * (own->size[k] - 1));
        for (o[0] = -deep; o[0] <= deep; o[0]++) for (o[1] = -1; o[1] <= 1; o[1]++) for (o[2] = -1; o[2] <= 1; o[2]++) {
            v = inr_near(parent, p[0] + o[0], p[1] + o[1], p[2] + o[2]); all += v < 0 ? -v : v; } }
    *x++ = parent ? inr_log(f, inr_near(parent, p[0], p[1], p[2])) : 0; *x++ = inr_log(f, all);
    *x++ = last ? inr_log(f, inr_near(last, i[0], i[1], i[2])) : 0; *x++ = 16 * (int)level; *x = 16; }
static int32_t inr_context_symbol(inr_file *f, inr_stream *s, const inr_context *c, size_t column, const int *x) {
    int64_t out[2], hidden, e, place; size_t n, k, o; for (o = 0; o < 2; o++) {
        for (out[o] = 0, k = 0; k < c->inputs; k++) out[o] += 64 * (int64_t)c->b[o * c->inputs + k] * x[k];
        out[o] += 1024 * (int64_t)c->bias[o * c->columns + column]; }
    for (n = 0; n < c->neurons; n++) {
        const int32_t *row = c->a1 + n * (c->inputs + 1); for (hidden = 0, k = 0; k <= c->inputs; k++) hidden += (int64_t)row[k] * x[k];
        for (o = 0; o < 2 && hidden > 0; o++) out[o] += c->a2[o * c->neurons + n] * hidden; }
    e = inr_clip(inr_shift(out[0] + 4096, 13), -(1 << 23), 1 << 23); place = inr_shift(e + 4, 3);
    place += inr_symbol(f, s, (unsigned)(8 * inr_clip(inr_shift(out[1] + 8192, 14) + 16, 0, 48) + e - 8 * place + 4));
    inr_need(f, place >= -(1 << 30) && place <= 1 << 30, "a symbol beyond 2^30"); return (int32_t)place; }
static void inr_context_plane(inr_file *f, inr_stream *s, const inr_context *c, size_t level, size_t k, inr_plane *own, const inr_plane *parent, const inr_plane *last) {
    const int64_t *n = own->size; int64_t t, low, i[3]; int x[23]; for (t = 0; t <= 4 * (n[0] - 1) + 2 * (n[1] - 1) + n[2] - 1; t++) {
        low = t - 2 * (n[1] - 1) - (n[2] - 1); for (i[0] = low > 0 ? (low + 3) / 4 : 0; i[0] < n[0] && 4 * i[0] <= t; i[0]++) {
            low = t - 4 * i[0] - (n[2] - 1); for (i[1] = low > 0 ? (low + 1) / 2 : 0; i[1] < n[1] && 4 * i[0] + 2 * i[1] <= t; i[1]++) {
                i[2] = t - 4 * i[0] - 2 * i[1]; inr_inputs(f, level, own, parent, last, i, c->axes == 3, x);
                own->at[(size_t)((i[0] * n[1] + i[1]) * n[2] + i[2]) * own->stride] = inr_context_symbol(f, s, c, level * f->features + k, x); } } } }
/* ---- Section 3: tensors ---- */
static void inr_floats(inr_file *f, inr_tensor *t) {
    size_t k; inr_need(f, t->part.size == 4 * t->count, "too few or too many values"); for (k = 0; k < t->count; k++) {
        uint32_t bits = inr_little(t->part.at + 4 * k, 4); inr_need(f, (bits >> 23 & 255) < 255, "a value that is not finite"); memcpy(t->value + k, &bits, 4);
    } }
static float inr_step(int code) {
    static const float steps[8] = {8388608, 9147842, 9975792, 10878679, 11863283, 12937002, 14107901, 15384775};
    return ldexpf(steps[(code + 128) & 7], (code + 128) / 8 - 16 - 23); }
static void inr_integers(inr_file *f, const inr_tensor *t, inr_bytes rest) { /* codec 1 */
    int width = rest.size ? rest.at[0] : 0; size_t k;
    inr_need(f, (width == 1 || width == 2 || width == 4) && rest.size == 1 + t->count * (size_t)width, "a wrong width, or too few or too many symbols");
    for (k = 0; k < t->count; k++) {
        int64_t v = inr_little(rest.at + 1 + k * (size_t)width, width), half = (int64_t)1 << (8 * width - 1);
        t->symbol[k] = (int32_t)(v < half ? v : v - 2 * half); } }
static void inr_dense(inr_file *f, inr_tensor *t, size_t level, const inr_context *c, inr_bytes rest) { /* codec 8 */
    inr_stream s; inr_plane own, parent, last; size_t k; int64_t side = (int64_t)f->level[level].side, above = level ? (int64_t)f->level[level - 1].side : 0;
    own.size[0] = c->axes == 3 ? side : 1; parent.size[0] = c->axes == 3 ? above : 1; own.size[1] = own.size[2] = side; parent.size[1] = parent.size[2] = above;
    own.stride = parent.stride = f->features; inr_stream_open(f, &s, rest); for (k = 0; k < f->features; k++) {
        own.at = t->symbol + k; parent.at = level ? t[-1].symbol + k : NULL; last = own; if (k) last.at--;
        inr_context_plane(f, &s, c, level, k, &own, level ? &parent : NULL, k ? &last : NULL); } inr_stream_close(f, &s); }
static void inr_coded(inr_file *f, inr_tensor *t, const inr_context *c) { /* codecs 1, 3, 6 and 8: symbols and steps */
    size_t g = t->axis < 0 ? 1 : t->shape[t->axis], inner = 1, k; int *step = (int *)inr_new(f, &f->passing, g, sizeof(int));
    unsigned model, models[2]; inr_bytes rest; inr_stream s; t->symbol = (int32_t *)inr_new(f, &f->passing, t->count, 4);
    for (k = (size_t)(t->axis < 0 ? 0 : t->axis + 1); k < t->rank; k++) inner *= t->shape[k];
    rest = inr_rest(f, t->part, t->codec == 6 ? 5 : t->codec == 3 ? 3 * g : g);
    for (k = 0; k < g && t->codec != 6; k++) step[k] = t->part.at[k] - (t->part.at[k] > 127 ? 256 : 0);
    if (t->codec == 1) inr_integers(f, t, rest);
    if (t->codec == 8) inr_dense(f, t, (size_t)(t - f->tensor) - 2, c, rest);
    if (t->codec == 3 || t->codec == 6) {
        inr_stream_open(f, &s, rest); models[0] = t->codec == 6 ? inr_tail_number(f, t->part.at + 1) : 0;
        models[1] = t->codec == 6 ? inr_tail_number(f, t->part.at + 3) : 0; for (k = 0; k < g && t->codec == 6; k++) {
            step[k] = inr_symbol(f, &s, models[0]) + t->part.at[0] - (t->part.at[0] > 127 ? 256 : 0);
            inr_need(f, step[k] >= -128 && step[k] <= 127, "a step code beyond 8 bits"); }
        for (k = 0; k < t->count; k++) {
            model = t->codec == 6 ? models[1] : inr_tail_number(f, t->part.at + g + 2 * (k / inner % g)); t->symbol[k] = inr_symbol(f, &s, model); }
        inr_stream_close(f, &s); }
    for (k = 0; k < t->count; k++) t->value[k] = (float)t->symbol[k] * inr_step(step[k / inner % g]); }
static double inr_coding(const inr_file *f, const inr_tensor *t, size_t level) { /* section 1: coding work, of those tensors that are decoded here */
    double count = (double)t->shape[0] * (t->rank > 1 ? (double)t->shape[1] : 1), fronts;
    if (t->codec == 3 || t->codec == 6) return count + (t->codec == 3 ? 0 : t->axis < 0 ? 1 : (double)t->shape[t->axis]);
    if (t->codec != 8 || level >= f->dense) return 0;
    fronts = 1 + (double)(f->level[level].side - 1) * (f->info.axes == 3 ? 7 : 3); return count + 32 * fronts * (double)f->features; }
static void inr_tensors(inr_file *f, size_t at) {
    inr_value v = inr_read(f, at), entry, codec, length; size_t k, offset = 0, grid = f->tensors, extra = 0;
    double elements = 0, nominal = 1, parameters, work = 0; int unknown = 0, context = 0, wanted[3], right = 1; inr_bytes described = {NULL, 0}; inr_context c;
    inr_tensor *t = f->tensor; memset(&c, 0, sizeof c); at = v.at; for (k = 0; k < v.count; k++) {
        entry = inr_read(f, at); codec = inr_read(f, entry.at); length = inr_read(f, entry.count == 2 ? codec.at : entry.at);
        inr_need(f, entry.count == 2 && codec.type == 'i' && length.type == 'i' && length.whole >= 0, "an entry of tens is not codec and length");
        unknown |= codec.whole < 0 || codec.whole > 10 || codec.whole == 2 || codec.whole == 5; if (k < f->tensors) t[k].codec = (int)inr_clip(codec.whole, -1, 11);
        at = length.at; }
    inr_must(f, !unknown, INR_UNSUPPORTED, "an unknown codec"); inr_need(f, v.count >= f->tensors, "not the tensors of the network");
    for (k = 0; k < f->tensors; k++) {
        context |= t[k].codec == 8; right &= t[k].codec != 7 && t[k].codec < 9; elements += (double)t[k].shape[0] * (t[k].rank > 1 ? (double)t[k].shape[1] : 1);
        work += inr_coding(f, &t[k], k - 2); }
    parameters = elements; wanted[extra] = 9; extra += (size_t)context; wanted[extra] = 10; extra += (size_t)f->info.residual;
    wanted[extra] = 7; extra += (size_t)f->valid; inr_need(f, right && v.count == f->tensors + extra, "not the tensors of the network");
    for (k = 0; k < f->info.axes; k++) nominal *= (double)f->info.size[k];
    elements += nominal * (f->valid + f->info.residual * (double)f->info.channels); for (k = 0, at = v.at; k < v.count; k++) {
        codec = inr_read(f, inr_read(f, at).at); length = inr_read(f, codec.at); right &= k < grid || codec.whole == wanted[k - grid];
        inr_need(f, right && (uint64_t)length.whole <= f->data.size - offset, "lengths that do not sum to DATA, or wrong tensors behind the network's");
        if (k < grid) { t[k].part.at = f->data.at + offset; t[k].part.size = (size_t)length.whole; }
        if (k == grid) { described.at = f->data.at + offset; described.size = (size_t)length.whole; }
        offset += (size_t)length.whole; at = length.at; }
    inr_must(f, parameters <= 33554432 + 4096 * (double)offset, INR_LIMIT, "too many parameters for so few bytes");
    inr_must(f, work <= 1048576 + 1024 * (double)offset, INR_LIMIT, "too much coding work for so few bytes");
    inr_must(f, elements <= (double)f->limits.elements, INR_LIMIT, "too many elements"); inr_need(f, offset == f->data.size, "lengths that do not sum to DATA");
    for (k = 0; k < f->tensors; k++) {
        int dense = context && k >= 2 && k - 2 < f->dense;
        inr_need(f, (t[k].codec == 4) == (f->net > 1 && !k) && (dense ? t[k].codec : t[k].codec != 8), "a codec where it must not be"); }
    if (context) inr_context_net(f, &c, described, f->info.axes, f->features * f->levels);
    for (k = 0; k < f->tensors; k++, t++) {
        t->count = t->shape[0] * (t->rank > 1 ? t->shape[1] : 1); t->value = (float *)inr_new(f, &f->kept, t->count, sizeof(float));
        if (t->codec == 0) inr_floats(f, t);
        else if (t->codec == 4) inr_lattice(f, t);
        else inr_coded(f, t, &c); } inr_must(f, !f->valid, INR_UNSUPPORTED, "this decoder has no missing samples: codec 7 needs zstd"); }
/* ---- Section 9: networks ---- */
static void inr_add(inr_file *f, const char *name, size_t index, const char *part, size_t rows, size_t columns, int axis) {
    inr_tensor *t = &f->tensor[f->tensors++]; char number[8];
    snprintf(number, sizeof number, "%u", (unsigned)index); snprintf(t->name, sizeof t->name, "%s%s%s", name, index < 256 ? number : "", part);
    t->shape[0] = rows; t->shape[1] = columns; t->rank = columns ? 2 : 1; t->axis = axis; }
static void inr_add_layer(inr_file *f, const char *name, size_t index, size_t rows, size_t columns, int axis) {
    inr_add(f, name, index, ".weight", rows, columns, axis); inr_add(f, name, index, ".bias", rows, 0, -1); }
static void inr_levels(inr_file *f, size_t at) {
    static const inr_rule rules[] = {{"scale", 'f', 0, 1e-45, 3.4028235e38}, {"resolution", 'i', 0, 1, 1048576}, {"entries", 'i', 0, 1, 268435456}, {"taps", 'i', 0, 2, 4}};
    size_t found[4], i, k; double vertices; for (i = 0, at = inr_read(f, at).at; i < f->levels; i++, at = inr_end(f, at, 1)) {
        inr_level *level = &f->level[i]; inr_check(f, at, 'l', rules, 4, found);
        level->scale = (float)inr_real(f, found[0], 0); level->side = inr_whole(f, found[1]);
        level->entries = inr_whole(f, found[2]); level->taps = (int)inr_whole(f, found[3]);
        inr_need(f, (double)level->scale == inr_real(f, found[0], 0) && level->taps != 3, "a level's scale or taps");
        for (k = 0, vertices = 1; k < f->info.axes; k++) vertices *= (double)level->side;
        level->dense = (double)level->entries >= vertices;
        if (f->dense == i && level->side > 1 && vertices == (double)level->entries && (k == 2 || k == 3)) f->dense++;
        inr_add(f, "grid.", i, "", level->entries, f->features, 1); } }
static size_t inr_masked(inr_file *f, const size_t *v, double period, size_t levels, size_t stretch) { /* features that join */
    size_t k; f->n0 = v[3]; f->period = period; f->low = v[8]; f->band = v[9]; f->bands = v[10]; f->groups = v[11]; f->wide = v[12];
    f->features = v[13]; f->levels = inr_read(f, levels).count; f->masks = f->bands + f->groups * f->layers;
    inr_need(f, f->low < f->band && f->bands <= f->band - f->low && f->h % f->groups == 0, "low, band, bands or groups");
    inr_need(f, inr_read(f, stretch).count == f->info.axes, "stretch of the wrong length"); for (k = 0; k < f->info.axes; k++) {
        f->stretch[k] = inr_entry(f, stretch, k); inr_need(f, f->stretch[k] > 0 && f->stretch[k] <= 1, "a stretch out of range"); }
    inr_add(f, "frequency", 999, "", f->n0, f->info.axes, -1); inr_add(f, "phase", 999, "", f->n0, 0, -1);
    inr_levels(f, levels); inr_add_layer(f, "mask.", 0, f->wide, f->features * f->levels, 1);
    inr_add_layer(f, "mask.", 1, f->masks, f->wide, 0); return f->net == 3 ? f->features * f->levels : 0; }
#define INR_SIZE(most) {"", 'i', 0, 1, most}
#define INR_REAL {"", 'f', 0, 5e-324, HUGE_VAL}
#define INR_FIRST {"", 's', 0, 0, 0}, {"", 'i', 0, 0, 0}, {"", 'i', 0, 0, 0}
static void inr_net(inr_file *f, size_t at) {
    static const inr_rule siren[] = {INR_FIRST, INR_SIZE(8192), {"", 'i', 0, 0, 64}, INR_REAL, INR_REAL};
    static const inr_rule multi[] = {INR_FIRST, INR_SIZE(8192), {"", 'i', 0, 0, 64}, {"", 'f', 0, -6, 6}, {"", 'f', 0, -6, 6}};
    static const inr_rule rules[] = {INR_FIRST, INR_SIZE(8192), INR_SIZE(8192), INR_SIZE(64), INR_REAL, INR_REAL, INR_SIZE(254), {"", 'i', 0, 2, 255},
        INR_SIZE(254), INR_SIZE(8192), INR_SIZE(8192), INR_SIZE(64), {"", 'L', 0, 1, 64}, {"", 'F', 0, 0, 0}};
    size_t found[16], v[16], k, more = 0; double real[16];
    int grids = f->net > 1; inr_check(f, at, 'l', grids ? rules : f->net ? multi : siren, grids ? 16 : 7, found); for (k = 0; k < (grids ? 14u : 7u); k++) {
        v[k] = k ? inr_whole(f, found[k]) : 0; real[k] = inr_real(f, found[k], 0); }
    inr_need(f, v[1] == f->info.axes && v[2] == f->info.channels, "a network that does not fit the axes and channels"); f->h = v[grids ? 4 : 3];
    f->layers = v[grids ? 5 : 4]; f->first_omega = real[5]; f->omega = real[6]; inr_need(f, f->net != 1 || f->first_omega <= f->omega, "s_min above s_max");
    f->tensor = (inr_tensor *)inr_new(f, &f->kept, 2 * f->layers + 80, sizeof *f->tensor);
    if (grids) more = inr_masked(f, v, real[7], found[14], found[15]);
    else inr_add_layer(f, "first", 999, f->h, f->info.axes, 0);
    f->width = (f->n0 > f->h ? f->n0 : f->h) + more + 4;
    for (k = 0; k < f->layers; k++) inr_add_layer(f, "hidden.", k, f->h, k || !grids ? f->h : f->n0 + more, 0);
    inr_add_layer(f, "out", 999, f->info.channels, f->h + more, 0); }
static void inr_parse(inr_file *f, inr_bytes data) {
    size_t net, tens, k; inr_value id; char word[12]; for (k = 0; k < 256; k++) f->logs[k] = (int)floor(16 * log2(1.0 + (double)k) + 0.5);
    inr_chunks(f, data); inr_head(f, &net, &tens); id = inr_read(f, net); inr_need(f, id.count > 0, "net is empty");
    id = inr_read(f, id.at); inr_need(f, id.type == 's', "net without an id");
    f->net = inr_named(f, id, "siren.1 msa.1 sasnet.1 sasnet.2", word); inr_must(f, f->net >= 0, INR_UNSUPPORTED, "an unknown network");
    inr_net(f, net); inr_tensors(f, tens); if (f->info.residual) f->text = "this decoder has no residual: ask for the function alone"; }
static double inr_product(double a, double b) { volatile double found = a * b; return found; } /* rounded once: never part of an fma */
static void inr_linear(const inr_tensor *t, const double *in, double *out) { /* t: the weight; t + 1: the bias */
    size_t row, column, b; for (row = 0; row < t->shape[0]; row++) {
        const float *w = t->value + row * t->shape[1]; double sum[INR_BLOCK]; for (b = 0; b < INR_BLOCK; b++) sum[b] = (double)t[1].value[row];
        for (column = 0; column < t->shape[1]; column++) {
            const double *x = in + column * INR_BLOCK, weight = (double)w[column]; for (b = 0; b < INR_BLOCK; b++) sum[b] += weight * x[b]; }
        memcpy(out + row * INR_BLOCK, sum, sizeof sum); } }
static size_t inr_row(const inr_level *level, size_t axes, const uint32_t *v) {
    static const uint32_t primes[4] = {1, 2654435761u, 805459861u, 3674653429u}; uint32_t found = 0, factor = 1;
    size_t k; for (k = 0; k < axes; k++, factor *= (uint32_t)level->side) { if (level->dense) found += v[k] * factor; else found ^= v[k] * primes[k]; }
    return found % level->entries; }
static void inr_level_features(const inr_file *f, size_t number, const float *u, double *out) { /* the features of one point */
    const inr_level *level = &f->level[number]; const float *table = f->tensor[2 + number].value, *row;
    size_t d = f->info.axes, k, e, count = 1; uint32_t corner[4], v[4]; double weight[4][4], w; for (k = 0; k < d; k++, count *= (size_t)level->taps) {
        float place = fmaf(level->scale, u[k], 0.5f), whole = floorf(place); double t = (double)(place - whole);
        corner[k] = fabsf(whole) <= FLT_MAX ? (uint32_t)(int64_t)fmodf(whole, 4294967296.0f) : 0;
        weight[k][0] = level->taps == 2 ? 1 - t : t * t - (t + t * t * t) / 2; weight[k][1] = level->taps == 2 ? t : 1 - 2.5 * t * t + 1.5 * t * t * t;
        weight[k][2] = t / 2 + 2 * t * t - 1.5 * t * t * t; weight[k][3] = (t * t * t - t * t) / 2; }
    for (k = 0; k < f->features; k++) out[k * INR_BLOCK] = 0;
    for (e = 0; e < count; e++) {
        size_t rest = e; for (k = 0, w = 1; k < d; k++, rest /= (size_t)level->taps) {
            v[k] = corner[k] + (uint32_t)(rest % (size_t)level->taps); w *= weight[k][rest % (size_t)level->taps]; }
        row = table + inr_row(level, d, v) * f->features; for (k = 0; k < f->features; k++) out[k * INR_BLOCK] += w * (double)row[k]; } }
static void inr_features(const inr_file *f, const double *x, double *out) {
    size_t b, k, level, d = f->info.axes; float u[4]; for (b = 0; b < INR_BLOCK; b++) {
        for (k = 0; k < d; k++) u[d - 1 - k] = (float)((inr_product(x[k * INR_BLOCK + b], f->stretch[k]) + 1) / 2);
        for (level = 0; level < f->levels; level++) inr_level_features(f, level, u, out + level * f->features * INR_BLOCK + b); } }
static void inr_embed(const inr_file *f, const double *x, const double *mask, double *out) { /* the masked sines of the frequencies */
    size_t j, k, b, d = f->info.axes, largest; for (j = 0; j < f->n0; j++, out += INR_BLOCK) {
        const float *v = f->tensor[0].value + j * d; for (k = 0, largest = 0; k < d; k++) if ((size_t)fabsf(v[k]) > largest) largest = (size_t)fabsf(v[k]);
        for (b = 0; b < INR_BLOCK; b++) {
            double z = 0; for (k = 0; k < d; k++) z += (double)v[k] * x[k * INR_BLOCK + b];
            out[b] = sin(6.283185307179586 / f->period * z + (double)f->tensor[1].value[j]);
            if (largest > f->low) out[b] *= mask[(largest - f->low - 1) * f->bands / (f->band - f->low) * INR_BLOCK + b]; } } }
static void inr_waves(const inr_file *f, const double *x, double *a, double *b, double *y) { /* siren.1 and msa.1 */
    const inr_tensor *t = f->tensor; size_t layer, j, k;
    memcpy(a, x, f->info.axes * INR_BLOCK * sizeof *a); for (layer = 0; layer <= f->layers; layer++, t += 2) {
        double w = layer ? f->omega : f->first_omega, *swap = a; inr_linear(t, a, b); for (j = 0; j < f->h; j++) {
            double part = f->h > 1 ? (double)j / (double)(f->h - 1) : 0;
            if (f->net == 1) w = (double)(float)pow(10, f->first_omega + part * (f->omega - f->first_omega));
            for (k = j * INR_BLOCK; k < (j + 1) * INR_BLOCK; k++) b[k] = sin(w * b[k]) / (f->net == 1 ? w : 1); }
        a = b; b = swap; } inr_linear(t, a, y); }
static void inr_network(const inr_file *f, const double *x, double *work, double *y) { /* of INR_BLOCK points, x and y by rows */
    size_t more = f->features * f->levels, layer, k, skip = f->net == 3 ? more : 0;
    double *a = work, *b = a + f->width * INR_BLOCK, *feature = b + f->width * INR_BLOCK, *wide = feature + more * INR_BLOCK;
    double *mask = wide + f->wide * INR_BLOCK, *swap; const inr_tensor *t = f->tensor + 2 + f->levels; if (f->net < 2) { inr_waves(f, x, a, b, y); return; }
    inr_features(f, x, feature); inr_linear(t, feature, wide); for (k = 0; k < f->wide * INR_BLOCK; k++) wide[k] = wide[k] > 0 ? wide[k] : 0;
    inr_linear(t + 2, wide, mask); for (k = 0; k < f->masks * INR_BLOCK; k++) mask[k] = 1 / (1 + exp(-mask[k]));
    inr_embed(f, x, mask, a); memcpy(a + f->n0 * INR_BLOCK, feature, skip * INR_BLOCK * sizeof *a);
    for (layer = 0, t += 4; layer < f->layers; layer++, t += 2) {
        const double *scale = mask + (f->bands + layer * f->groups) * INR_BLOCK; inr_linear(t, a, b);
        for (k = 0; k < f->h * INR_BLOCK; k++) b[k] = sin(f->omega * b[k]) * scale[k / INR_BLOCK / (f->h / f->groups) * INR_BLOCK + k % INR_BLOCK];
        swap = a; a = b; b = swap; } memcpy(a + f->h * INR_BLOCK, feature, skip * INR_BLOCK * sizeof *a); inr_linear(t, a, y); }
/* ---- Section 8: points and grids ---- */
typedef struct { size_t size[4], finer[4], first[4], count[4], inner, total; int nominal; } inr_lattice_of;
static int inr_plan(const inr_file *f, const size_t *size, const double *region, inr_lattice_of *g) {
    size_t k, n; double all = (double)f->info.channels; if (!f || f->code) return INR_MISUSE;
    g->inner = g->total = 1; g->nominal = 1; for (k = 0; k < f->info.axes; k++) {
        double start = region ? region[2 * k] : 0, stop = region ? region[2 * k + 1] : (double)f->info.size[k], scale; n = f->info.size[k];
        g->size[k] = size ? size[k] : n;
        if (!g->size[k] || (double)g->size[k] > 1e12 || !(0 <= start && start < stop && stop <= (double)n)) return INR_MISUSE;
        g->nominal &= g->size[k] == n; scale = (double)g->size[k];
        g->finer[k] = (n + g->size[k] - 1) / g->size[k]; g->first[k] = (size_t)floor(start * scale / (double)n + 0.5);
        if (g->first[k] > g->size[k] - 1) g->first[k] = g->size[k] - 1;
        g->count[k] = (size_t)floor(stop * scale / (double)n + 0.5); g->count[k] = g->count[k] > g->first[k] ? g->count[k] - g->first[k] : 1;
        all *= (double)g->count[k] * (double)g->finer[k]; if (all > (double)f->limits.samples) return INR_LIMIT;
        g->inner *= g->finer[k]; g->total *= g->count[k]; } return INR_OK; }
static double *inr_work(const inr_file *f) { /* x, y, sums of the channels, what inr_network needs; NULL without memory */
    size_t rows = 4 + 2 * f->info.channels + 2 * f->width + f->features * f->levels + f->wide + f->masks;
    double *found = (double *)INR_MALLOC(rows * INR_BLOCK * sizeof(double)); if (found) memset(found, 0, rows * INR_BLOCK * sizeof(double));
    return found; }
static void inr_place(const inr_file *f, const inr_lattice_of *g, size_t index, double *x) { /* of a sample of the finer grid */
    size_t o = index / g->inner, r = index % g->inner, k = f->info.axes, i; while (k--) {
        i = (g->first[k] + o % g->count[k]) * g->finer[k] + r % g->finer[k];
        x[k * INR_BLOCK] = f->info.lo[k] + inr_product(((double)i + 0.5) / (double)(g->size[k] * g->finer[k]), f->info.hi[k] - f->info.lo[k]); o /= g->count[k];
        r /= g->finer[k]; } }
static void inr_put(const inr_file *f, const inr_channel *c, double y, int free, size_t at, float *values, void *codes) { /* free: of a point */
    double v = c->scale * y + c->offset, code; v = free ? v : v < 0 ? 0 : v > 1 ? 1 : v; code = v == v ? v * (double)((1 << f->info.bits) - 1) + 0.5 : 0;
    if (values) values[at] = (float)(c->low + v * (c->high - c->low)); else if (f->info.bits <= 8) ((uint8_t *)codes)[at] = (uint8_t)code;
    else ((uint16_t *)codes)[at] = (uint16_t)code; }
static int inr_fill(const inr_file *f, const inr_lattice_of *g, const double *points, float *values, void *codes) {
    size_t i, b, k, count, d = f->info.axes, c = f->info.channels, all = g->total * g->inner; double *x = inr_work(f), *y, *sum; if (!x) return INR_MEMORY;
    y = x + 4 * INR_BLOCK; sum = y + c * INR_BLOCK; for (i = 0; i < all; i += count) {
        count = all - i < INR_BLOCK ? all - i : INR_BLOCK; for (b = 0; b < count; b++) {
            if (!points) inr_place(f, g, i + b, x + b);
            for (k = 0; points && k < d; k++) x[k * INR_BLOCK + b] = points[(i + b) * d + k]; }
        inr_network(f, x, sum + c * INR_BLOCK, y); for (b = 0; b < count; b++) for (k = 0; k < c; k++) {
            sum[k] += y[k * INR_BLOCK + b]; if ((i + b) % g->inner < g->inner - 1) continue;
            inr_put(f, &f->channel[k], sum[k] / (double)g->inner, points != NULL, (i + b) / g->inner * c + k, values, codes); sum[k] = 0; } }
    INR_FREE(x); return INR_OK; }
static int inr_all(const inr_file *f, const size_t *size, const double *region, unsigned flags, float *values, void *codes) {
    inr_lattice_of g; int code = inr_plan(f, size, region, &g);
    if (!code && ((codes && !f->info.codes) || (g.nominal && f->info.residual && !(flags & INR_FUNCTION_ALONE)))) code = INR_UNSUPPORTED;
    return code ? code : inr_fill(f, &g, NULL, values, codes); }
int inr_grid(const inr_file *f, const size_t *size, const double *region, unsigned flags, float *values) {
    return inr_all(f, size, region, flags, values, NULL); }
int inr_codes(const inr_file *f, const size_t *size, const double *region, unsigned flags, void *codes) { return inr_all(f, size, region, flags, NULL, codes); }
size_t inr_count(const inr_file *f, const size_t *size, const double *region) {
    inr_lattice_of g; return inr_plan(f, size, region, &g) ? 0 : g.total * f->info.channels; }
int inr_at(const inr_file *f, const double *points, size_t n, float *values) {
    inr_lattice_of g; size_t i; if (!f || f->code) return INR_MISUSE;
    for (i = 0; i < n * f->info.axes; i++) if (!(fabs(points[i]) <= DBL_MAX)) return INR_MISUSE;
    if ((double)n * (double)f->info.channels > (double)f->limits.samples) return INR_LIMIT;
    g.total = n; g.inner = 1; return inr_fill(f, &g, points, values, NULL); }
int inr_open(const void *data, size_t size, const inr_limits *limits, inr_file **out) {
    inr_bytes bytes; inr_file *f = (inr_file *)INR_MALLOC(sizeof *f); *out = f; if (!f) return INR_MEMORY;
    memset(f, 0, sizeof *f); f->limits.elements = limits && limits->elements ? limits->elements : 1 << 25;
    f->limits.samples = limits && limits->samples ? limits->samples : 1 << 26; bytes.at = (const uint8_t *)data;
    bytes.size = size; if (!setjmp(f->escape)) inr_parse(f, bytes);
    inr_release(&f->passing); return (*out)->code; }
const char *inr_error(const inr_file *f) { return !f ? "not enough memory" : f->text ? f->text : ""; } const inr_info *inr_about(const inr_file *f) { return &f->info; }
void inr_close(inr_file *f) { if (f) { inr_release(&f->kept); INR_FREE(f); } }
#endif
