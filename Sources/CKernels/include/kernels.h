#ifndef CANARYD_KERNELS_H
#define CANARYD_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/// The arithmetic of a small dense network, as plain loops that the compiler turns into vector code, once for each
/// instruction set below. Every sum has one order, no operation is contracted, and vector lanes run over outputs, so
/// all paths give the same bits, FP32 as well as INT8.
///
/// Matrices are row-major and dense. No function allocates, keeps a pointer, or checks a length: the caller does.
typedef enum ck_path {
    CK_PORTABLE = 0,
    CK_AVX2 = 1,
    CK_AVX512 = 2,
} ck_path;

/// 1 when this processor can run the path.
int ck_supports(ck_path path);
/// The widest path that this processor can run.
ck_path ck_best(void);

/// y[rows×outputs] = x[rows×inputs] · w[inputs×outputs] + bias[outputs], below 0 cut off if `relu`.
/// Inputs that are zero are skipped, which makes one-hot rows cheap; weights have to be finite.
void ck_dense(ck_path path, const float *x, size_t rows, size_t inputs, const float *w, const float *bias,
              size_t outputs, int relu, float *y);

/// y[rows×outputs] = x[rows×inputs] · w[outputs×inputs]ᵀ, exact in 32 bits while inputs <= 131072.
void ck_dense_int8(ck_path path, const int8_t *x, size_t rows, size_t inputs, const int8_t *w, size_t outputs,
                   int32_t *y);

/// q = x·inverse_scale, to the nearest (ties to even), clamped to ±127. `inverse_scale` has `columns` values, one for
/// each column; a row of q takes `stride` >= columns bytes, the rest zero. x is not NaN.
void ck_quantize(ck_path path, const float *x, size_t rows, size_t columns, const float *inverse_scale, int8_t *q,
                 size_t stride);

/// y = sums·scale[column] + bias[column], below 0 cut off if `relu`.
void ck_dequantize(ck_path path, const int32_t *sums, size_t rows, size_t columns, const float *scale,
                   const float *bias, int relu, float *y);

/// x = 1 / (1 + exp(-x)), by an exponential of its own: the one of the C library differs between processors.
void ck_sigmoid(float *x, size_t count);

/// dw[inputs×outputs] += x[rows×inputs]ᵀ · dy[rows×outputs]; dbias[outputs] += the sum of dy over the rows.
void ck_accumulate_gradient(ck_path path, const float *x, const float *dy, size_t rows, size_t inputs,
                            size_t outputs, float *dw, float *dbias);

/// dy = 0 where the output y of the rectifier was 0.
void ck_relu_gradient(ck_path path, const float *y, size_t count, float *dy);

/// t[columns×rows] = a[rows×columns]ᵀ.
void ck_transpose(const float *a, size_t rows, size_t columns, float *t);

/// One step of Adam (Kingma and Ba 2015, algorithm 1): `step` is α·sqrt(1-β2^t)/(1-β1^t), β1 = .9, β2 = .999. Where
/// `mask` is given (0 or 1 for each weight) masked weights stay 0. Clears the gradient.
void ck_adam(ck_path path, float *w, float *gradient, float *m, float *v, const float *mask, size_t count,
             float step);

#endif
