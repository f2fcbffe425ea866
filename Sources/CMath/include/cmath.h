// The five functions of libm that the Statistics module needs. The Swift standard library has none of them, and the
// module imports neither Glibc nor Foundation.
#ifndef CANARYD_CMATH_H
#define CANARYD_CMATH_H

double lgamma_r(double, int *);
double log(double);
double log1p(double);
double exp(double);
double expm1(double);

static inline double cmath_log(double x) { return log(x); }
static inline double cmath_log1p(double x) { return log1p(x); }
static inline double cmath_exp(double x) { return exp(x); }
static inline double cmath_expm1(double x) { return expm1(x); }

// lgamma() itself writes the sign to a global that every thread shares.
static inline double cmath_lgamma(double x) {
    int sign;
    return lgamma_r(x, &sign);
}

#endif
