#ifndef RESYNC_CLINUX_RETRY_H
#define RESYNC_CLINUX_RETRY_H

#include <errno.h>

/* The result of a call, or the negated errno; what a signal cut off is done again. */
#define RETRY(expression)                                                                          \
    ({                                                                                             \
        __typeof__(expression) result_;                                                            \
        do {                                                                                       \
            result_ = (expression);                                                                \
        } while (result_ == -1 && errno == EINTR);                                                 \
        result_ == -1 ? -(__typeof__(result_))errno : result_;                                     \
    })

#endif
