#pragma once
#include <curl/curl.h>

// curl_easy_setopt and its like are variadic, which Swift cannot call. One function for each type of value; the
// parentheses step around curl's type-checking macros, which want a constant option.

static inline CURLcode ccurl_set_long(CURL *easy, CURLoption option, long value) {
    return (curl_easy_setopt)(easy, option, value);
}

static inline CURLcode ccurl_set_text(CURL *easy, CURLoption option, const char *value) {
    return (curl_easy_setopt)(easy, option, value);
}

static inline CURLcode ccurl_set_pointer(CURL *easy, CURLoption option, void *value) {
    return (curl_easy_setopt)(easy, option, value);
}

/// Write and header callbacks have the same shape.
typedef size_t (*ccurl_data_callback)(char *data, size_t size, size_t count, void *context);

static inline CURLcode ccurl_set_data_callback(CURL *easy, CURLoption option, ccurl_data_callback callback) {
    return (curl_easy_setopt)(easy, option, callback);
}

typedef int (*ccurl_progress_callback)(void *context, curl_off_t download_total, curl_off_t downloaded,
                                       curl_off_t upload_total, curl_off_t uploaded);

static inline CURLcode ccurl_set_progress_callback(CURL *easy, ccurl_progress_callback callback) {
    return (curl_easy_setopt)(easy, CURLOPT_XFERINFOFUNCTION, callback);
}

static inline long ccurl_response_code(CURL *easy) {
    long code = 0;
    (curl_easy_getinfo)(easy, CURLINFO_RESPONSE_CODE, &code);
    return code;
}

/// Where a redirect points, absolute; null where the reply was none. Belongs to the handle.
static inline const char *ccurl_redirect_url(CURL *easy) {
    char *url = NULL;
    (curl_easy_getinfo)(easy, CURLINFO_REDIRECT_URL, &url);
    return url;
}

/// Null where the response had none. Belongs to the handle.
static inline const char *ccurl_content_type(CURL *easy) {
    char *type = NULL;
    (curl_easy_getinfo)(easy, CURLINFO_CONTENT_TYPE, &type);
    return type;
}

static inline CURLMcode ccurl_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return (curl_multi_setopt)(multi, option, value);
}
