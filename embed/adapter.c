/* inr.h behind the command line of conformance/README.md: cc -O2 embed/adapter.c -lm -o adapter */
#define INR_IMPLEMENTATION
#include "inr.h"

static unsigned char *whole(const char *path, size_t *size)
{
    FILE *in = fopen(path, "rb");
    unsigned char *found = NULL, *larger;
    size_t room = 0, more = 1;
    for (*size = 0; in && more; *size += more) {
        if (*size == room) {
            room = room ? 2 * room : 65536;
            larger = (unsigned char *)realloc(found, room);
            if (!larger) break;
            found = larger;
        }
        more = fread(found + *size, 1, room - *size, in);
    }
    if (in) fclose(in);
    return found;
}

/* One number per axis, with commas between; of a region two with a colon. */
static int numbers(const char *text, size_t count, char inner, double *found)
{
    char *end;
    size_t k;
    for (k = 0; k < count; k++, text = end + 1) {
        found[k] = strtod(text, &end);
        if (end == text || *end != (k + 1 == count ? 0 : inner && k % 2 == 0 ? inner : ',')) return 0;
    }
    return 1;
}

static void put_float(FILE *out, float value)
{
    uint32_t bits;
    int k;
    memcpy(&bits, &value, 4);
    for (k = 0; k < 32; k += 8) putc((int)(bits >> k & 255), out);
}

static void put_parameters(FILE *out, const inr_file *file)
{
    size_t t, k;
    for (t = 0; t < file->tensors; t++) {
        const inr_tensor *tensor = &file->tensor[t];
        fprintf(out, "%s[", tensor->name);
        for (k = 0; k < tensor->rank; k++) fprintf(out, "%s%lu", k ? ", " : "", (unsigned long)tensor->shape[k]);
        fprintf(out, "]");
        for (k = 0; k < tensor->count; k++) put_float(out, tensor->value[k]);
    }
}

static int put_samples(FILE *out, const inr_file *file)
{
    size_t count = inr_count(file, NULL, NULL), k, b, bytes = 1 + (inr_about(file)->bits > 8);
    unsigned char *samples = (unsigned char *)malloc(count * bytes + 1);
    const uint16_t one = 1;
    int code = !count ? INR_LIMIT : samples ? inr_codes(file, NULL, NULL, 0, samples) : INR_MEMORY, little = *(const unsigned char *)&one;
    for (k = 0; !code && k < count; k++) {
        for (b = 0; b < bytes; b++) putc(samples[k * bytes + (little ? b : bytes - 1 - b)], out);
    }
    free(samples);
    return code;
}

static int put_grid(FILE *out, const inr_file *file, const size_t *size, const double *region)
{
    size_t count = inr_count(file, size, region), k;
    float *values = (float *)malloc((count + 1) * sizeof *values), none;
    int code = values ? inr_grid(file, size, region, 0, count ? values : &none) : INR_MEMORY;
    for (k = 0; !code && k < count; k++) put_float(out, values[k]);
    free(values);
    return code;
}

static int put_points(FILE *out, const inr_file *file, const char *path)
{
    size_t bytes, n, k, b, axes = inr_about(file)->axes, channels = inr_about(file)->channels;
    unsigned char *raw = whole(path, &bytes);
    double *points = (double *)malloc(bytes + 8);
    float *values;
    int code = INR_MISUSE;
    n = bytes / 8 / axes;
    values = (float *)malloc((n * channels + 1) * sizeof *values);
    for (k = 0; points && k < n * axes; k++) {
        uint64_t bits = 0;
        for (b = 8; b--;) bits = bits << 8 | raw[8 * k + b];
        memcpy(points + k, &bits, 8);
    }
    if (raw && points && values) code = inr_at(file, points, n, values);
    for (k = 0; !code && k < n * channels; k++) put_float(out, values[k]);
    free(raw);
    free(points);
    free(values);
    return code;
}

static const char *option(int count, char **arguments, const char *name)
{
    int k;
    for (k = 2; k + 1 < count; k++) {
        if (!strcmp(arguments[k], name)) return arguments[k + 1];
    }
    return NULL;
}

static int flag(int count, char **arguments, const char *name) { return count > 2 && !strcmp(arguments[count - 1], name); }

static int answer(const inr_file *file, FILE *out, int count, char **arguments)
{
    const char *points = option(count, arguments, "--points"), *size = option(count, arguments, "--size");
    const char *region = option(count, arguments, "--region");
    size_t sizes[4], k, axes = inr_about(file)->axes;
    double found[4], parts[8];
    if (flag(count, arguments, "--parameters")) {
        put_parameters(out, file);
        return INR_OK;
    }
    if (flag(count, arguments, "--samples")) return put_samples(out, file);
    if (points) return put_points(out, file, points);
    if ((size && !numbers(size, axes, 0, found)) || (region && !numbers(region, 2 * axes, ':', parts))) return INR_MISUSE;
    for (k = 0; size && k < axes; k++) {
        if (!(found[k] >= 1 && found[k] < 1e12)) return INR_MISUSE;
        sizes[k] = (size_t)found[k];
    }
    return put_grid(out, file, size ? sizes : NULL, region ? parts : NULL);
}

int main(int count, char **arguments)
{
    const char *path = option(count, arguments, "-o");
    size_t size;
    unsigned char *data = path ? whole(arguments[1], &size) : NULL;
    inr_file *file;
    FILE *out;
    int code = INR_MISUSE;
    if (!data) {
        fprintf(stderr, "error: expected FILE -o OUT\n");
        return code;
    }
    code = inr_open(data, size, NULL, &file);
    free(data);
    out = code ? NULL : fopen(path, "wb");
    if (out) {
        code = answer(file, out, count, arguments);
        if (fclose(out)) code = INR_MISUSE;
    } else if (!code) {
        code = INR_MISUSE;
    }
    if (code) fprintf(stderr, "error: %s\n", *inr_error(file) ? inr_error(file) : "not a question that this file answers, or a limit");
    inr_close(file);
    return code;
}
