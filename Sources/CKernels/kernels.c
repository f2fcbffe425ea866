#include "kernels.h"

#include <string.h>

// A fused multiply-add rounds once where a product and a sum round twice: it would make the paths differ.
#pragma STDC FP_CONTRACT OFF

#define BODY static inline __attribute__((always_inline))

enum { BLOCK = 32 };  // outputs that are summed in registers at a time

BODY void dense_columns(const float *restrict x, size_t inputs, const float *restrict w, size_t outputs,
                        const float *restrict bias, int relu, size_t width, float *restrict y) {
    float sum[BLOCK];
    for (size_t k = 0; k < width; k++) sum[k] = bias[k];
    for (size_t i = 0; i < inputs; i++) {
        const float xi = x[i];
        if (xi == 0) continue;
        const float *restrict row = w + i * outputs;
        for (size_t k = 0; k < width; k++) sum[k] += xi * row[k];
    }
    for (size_t k = 0; k < width; k++) y[k] = relu && !(sum[k] > 0) ? 0 : sum[k];
}

BODY void dense(const float *x, size_t rows, size_t inputs, const float *w, const float *bias, size_t outputs,
                int relu, float *y) {
    for (size_t r = 0; r < rows; r++) {
        const float *xr = x + r * inputs;
        float *yr = y + r * outputs;
        size_t o = 0;
        for (; o + BLOCK <= outputs; o += BLOCK)
            dense_columns(xr, inputs, w + o, outputs, bias + o, relu, BLOCK, yr + o);
        if (o < outputs) dense_columns(xr, inputs, w + o, outputs, bias + o, relu, outputs - o, yr + o);
    }
}

BODY void dense_int8(const int8_t *restrict x, size_t rows, size_t inputs, const int8_t *restrict w, size_t outputs,
                     int32_t *restrict y) {
    for (size_t r = 0; r < rows; r++) {
        const int8_t *restrict xr = x + r * inputs;
        for (size_t o = 0; o < outputs; o++) {
            const int8_t *restrict wo = w + o * inputs;
            int32_t sum = 0;
            for (size_t i = 0; i < inputs; i++) sum += (int32_t)xr[i] * (int32_t)wo[i];
            y[r * outputs + o] = sum;
        }
    }
}

BODY void quantize(const float *restrict x, size_t rows, size_t columns, const float *restrict inverse,
                   int8_t *restrict q, size_t stride) {
    const float half_up = 12582912.0f;  // 1.5·2^23: what is added to it is rounded to a whole number
    for (size_t r = 0; r < rows; r++) {
        const float *restrict xr = x + r * columns;
        int8_t *restrict qr = q + r * stride;
        for (size_t c = 0; c < columns; c++) {
            float value = (xr[c] * inverse[c] + half_up) - half_up;
            value = value < -127.0f ? -127.0f : value;
            value = value > 127.0f ? 127.0f : value;
            qr[c] = (int8_t)(int32_t)value;
        }
        memset(qr + columns, 0, stride - columns);
    }
}

BODY void dequantize(const int32_t *restrict sums, size_t rows, size_t columns, const float *restrict scale,
                     const float *restrict bias, int relu, float *restrict y) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++) {
            const float value = (float)sums[r * columns + c] * scale[c] + bias[c];
            y[r * columns + c] = relu && !(value > 0) ? 0 : value;
        }
}

BODY void accumulate_gradient(const float *restrict x, const float *restrict dy, size_t rows, size_t inputs,
                              size_t outputs, float *restrict dw, float *restrict dbias) {
    for (size_t r = 0; r < rows; r++) {
        const float *restrict dyr = dy + r * outputs;
        for (size_t i = 0; i < inputs; i++) {
            const float xi = x[r * inputs + i];
            if (xi == 0) continue;
            float *restrict row = dw + i * outputs;
            for (size_t o = 0; o < outputs; o++) row[o] += xi * dyr[o];
        }
        for (size_t o = 0; o < outputs; o++) dbias[o] += dyr[o];
    }
}

BODY void relu_gradient(const float *restrict y, size_t count, float *restrict dy) {
    for (size_t k = 0; k < count; k++) dy[k] = y[k] > 0 ? dy[k] : 0;
}

BODY void adam(float *restrict w, float *restrict gradient, float *restrict m, float *restrict v,
               const float *restrict mask, size_t count, float step) {
    for (size_t k = 0; k < count; k++) {
        const float g = gradient[k];
        m[k] = 0.9f * m[k] + 0.1f * g;
        v[k] = 0.999f * v[k] + 0.001f * (g * g);
        float next = w[k] - step * m[k] / (__builtin_elementwise_sqrt(v[k]) + 1e-8f);
        if (mask) next = mask[k] != 0 ? next : 0;
        w[k] = next;
        gradient[k] = 0;
    }
}

// One copy of every body for each instruction set.
#define COPIES(SUFFIX, TARGET)                                                                                        \
    TARGET static void dense##SUFFIX(const float *x, size_t rows, size_t inputs, const float *w, const float *bias,   \
                                     size_t outputs, int relu, float *y) {                                            \
        dense(x, rows, inputs, w, bias, outputs, relu, y);                                                            \
    }                                                                                                                 \
    TARGET static void dense_int8##SUFFIX(const int8_t *x, size_t rows, size_t inputs, const int8_t *w,               \
                                          size_t outputs, int32_t *y) {                                               \
        dense_int8(x, rows, inputs, w, outputs, y);                                                                   \
    }                                                                                                                 \
    TARGET static void quantize##SUFFIX(const float *x, size_t rows, size_t columns, const float *inverse, int8_t *q, \
                                        size_t stride) {                                                              \
        quantize(x, rows, columns, inverse, q, stride);                                                               \
    }                                                                                                                 \
    TARGET static void dequantize##SUFFIX(const int32_t *sums, size_t rows, size_t columns, const float *scale,       \
                                          const float *bias, int relu, float *y) {                                    \
        dequantize(sums, rows, columns, scale, bias, relu, y);                                                        \
    }                                                                                                                 \
    TARGET static void accumulate_gradient##SUFFIX(const float *x, const float *dy, size_t rows, size_t inputs,       \
                                                   size_t outputs, float *dw, float *dbias) {                         \
        accumulate_gradient(x, dy, rows, inputs, outputs, dw, dbias);                                                 \
    }                                                                                                                 \
    TARGET static void relu_gradient##SUFFIX(const float *y, size_t count, float *dy) {                               \
        relu_gradient(y, count, dy);                                                                                  \
    }                                                                                                                 \
    TARGET static void adam##SUFFIX(float *w, float *gradient, float *m, float *v, const float *mask, size_t count,   \
                                    float step) {                                                                     \
        adam(w, gradient, m, v, mask, count, step);                                                                   \
    }

COPIES(_portable, )

#if defined(__x86_64__)
COPIES(_avx2, __attribute__((target("avx2"))))
COPIES(_avx512, __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq"))))

int ck_supports(ck_path path) {
    switch (path) {
        case CK_PORTABLE: return 1;
        case CK_AVX2: return __builtin_cpu_supports("avx2") != 0;
        case CK_AVX512:
            return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    }
    return 0;
}

#define CALL(NAME, ...)                                   \
    switch (path) {                                       \
        case CK_AVX512: NAME##_avx512(__VA_ARGS__); break; \
        case CK_AVX2: NAME##_avx2(__VA_ARGS__); break;     \
        case CK_PORTABLE: NAME##_portable(__VA_ARGS__); break; \
    }
#else
int ck_supports(ck_path path) { return path == CK_PORTABLE; }

#define CALL(NAME, ...) \
    (void)path;         \
    NAME##_portable(__VA_ARGS__);
#endif

ck_path ck_best(void) {
    if (ck_supports(CK_AVX512)) return CK_AVX512;
    return ck_supports(CK_AVX2) ? CK_AVX2 : CK_PORTABLE;
}

void ck_dense(ck_path path, const float *x, size_t rows, size_t inputs, const float *w, const float *bias,
              size_t outputs, int relu, float *y) {
    CALL(dense, x, rows, inputs, w, bias, outputs, relu, y)
}

void ck_dense_int8(ck_path path, const int8_t *x, size_t rows, size_t inputs, const int8_t *w, size_t outputs,
                   int32_t *y) {
    CALL(dense_int8, x, rows, inputs, w, outputs, y)
}

void ck_quantize(ck_path path, const float *x, size_t rows, size_t columns, const float *inverse_scale, int8_t *q,
                 size_t stride) {
    CALL(quantize, x, rows, columns, inverse_scale, q, stride)
}

void ck_dequantize(ck_path path, const int32_t *sums, size_t rows, size_t columns, const float *scale,
                   const float *bias, int relu, float *y) {
    CALL(dequantize, sums, rows, columns, scale, bias, relu, y)
}

void ck_accumulate_gradient(ck_path path, const float *x, const float *dy, size_t rows, size_t inputs,
                            size_t outputs, float *dw, float *dbias) {
    CALL(accumulate_gradient, x, dy, rows, inputs, outputs, dw, dbias)
}

void ck_relu_gradient(ck_path path, const float *y, size_t count, float *dy) { CALL(relu_gradient, y, count, dy) }

void ck_adam(ck_path path, float *w, float *gradient, float *m, float *v, const float *mask, size_t count,
             float step) {
    CALL(adam, w, gradient, m, v, mask, count, step)
}

void ck_transpose(const float *a, size_t rows, size_t columns, float *t) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++) t[c * rows + r] = a[r * columns + c];
}

// exp by halving the exponent away and the Taylor series on ±ln(2)/2, which 13 terms carry below 1e-16.
static double exponential(double x) {
    if (x < -700) return 0;
    if (x > 700) x = 700;
    const double shift = 6755399441055744.0;  // 1.5·2^52, rounds as above
    const double k = (x * 1.4426950408889634 + shift) - shift;
    const double r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10;
    double sum = 1;
    for (int n = 13; n > 0; n--) sum = 1 + sum * r / n;
    const uint64_t bits = (uint64_t)((int64_t)k + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

void ck_sigmoid(float *x, size_t count) {
    for (size_t k = 0; k < count; k++) x[k] = (float)(1 / (1 + exponential(-(double)x[k])));
}
