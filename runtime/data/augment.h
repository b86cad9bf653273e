/* augment.h - the options of crun.data.augment as a cr_image_change: for the loader, whose threads
 * change images without the operator */
#ifndef CR_DATA_AUGMENT_H
#define CR_DATA_AUGMENT_H

#include "autograd/op.h"
#include "kernels/image_change.h"

/* option and list by the order of cr_data_augment.options; images [N C H W]. False when the window
 * does not fit. */
bool cr_augment_how(const double *option, const cr_list *list, const cr_tensor *images,
                    cr_image_change *how, cr_error *err);

extern const cr_op cr_data_augment;

#endif
