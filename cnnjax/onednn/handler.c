/* What XLA calls for a convolution by oneDNN, from any of its threads and without Python.

   Python describes a convolution once, as a plan, and gives it a number; the operation carries the
   number. XLA_FFI_* is XLA's own header, which jaxlib brings along; dnnl_* are called by their
   addresses, so that nothing is linked. */

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#include "xla/ffi/api/c_api.h"

/* An argument of oneDNN, and which array of the operation it lies in, with an offset in bytes. */
typedef struct {
  void *memory;
  int64_t array;
  int64_t offset;
} Place;

/* A kernel of oneDNN. It is compiled when it is first run: many are only looked at. */
typedef struct {
  void *description;
  void *kernel;
  void *arguments;
  Place *places;
  int32_t argument_count;
  int32_t place_count;
  int32_t alone; /* By this thread only: waking another takes 50 us. */
} Step;

typedef struct Plan {
  int64_t number;
  int64_t step_count;
  Step *steps;
  struct Plan *next;
} Plan;

/* Functions of oneDNN and of OpenMP, which return a status but for the last. */
typedef struct {
  int (*create)(void **kernel, void *description);
  int (*place)(void *memory, void *address);
  int (*execute)(void *kernel, void *stream, int count, void *arguments);
  void (*use_threads)(int count);
  void *stream;
  int32_t threads;
} Library;

enum { BUCKETS = 1024, ENOUGH = 16 };

static Library library;
static Plan *plans[BUCKETS];
/* The threads of one kernel wait for each other at barriers, busily: with those of a second one in
   their place they would do so for milliseconds. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

void cnnjax_use(const Library *given) { library = *given; }

/* Keeps a plan, whose memory stays; its number must be new. */
void cnnjax_keep(Plan *plan) {
  Plan **bucket = &plans[(uint64_t)plan->number % BUCKETS];
  pthread_mutex_lock(&turn);
  plan->next = *bucket;
  __atomic_store_n(bucket, plan, __ATOMIC_RELEASE);
  pthread_mutex_unlock(&turn);
}

static Plan *found(int64_t number) {
  Plan *plan = __atomic_load_n(&plans[(uint64_t)number % BUCKETS], __ATOMIC_ACQUIRE);
  while (plan && plan->number != number) plan = plan->next;
  return plan;
}

static int run(Step *step, void *const *addresses) {
  int status = 0;
  if (!step->kernel) status = library.create(&step->kernel, step->description);
  for (int i = 0; !status && i < step->place_count; i++) {
    const Place *place = &step->places[i];
    status = library.place(place->memory, (char *)addresses[place->array] + place->offset);
  }
  if (status) return status;
  if (step->alone) library.use_threads(1);
  status = library.execute(step->kernel, library.stream, step->argument_count, step->arguments);
  if (step->alone) library.use_threads(library.threads);
  return status;
}

static XLA_FFI_Error *complaint(const XLA_FFI_CallFrame *frame, const char *what, int64_t number) {
  char message[96];
  snprintf(message, sizeof message, "oneDNN: %s %lld", what, (long long)number);
  XLA_FFI_Error_Create_Args args = {XLA_FFI_Error_Create_Args_STRUCT_SIZE, NULL, message,
                                    XLA_FFI_Error_Code_INTERNAL};
  return frame->api->XLA_FFI_Error_Create(&args);
}

/* The handler: says which interface it is for, or computes what a frame asks for. */
XLA_FFI_Error *cnnjax_handler(XLA_FFI_CallFrame *frame) {
  XLA_FFI_Extension_Base *extension = frame->extension_start;
  if (extension && extension->type == XLA_FFI_Extension_Metadata) {
    XLA_FFI_Metadata *metadata = ((XLA_FFI_Metadata_Extension *)extension)->metadata;
    metadata->api_version.major_version = XLA_FFI_API_MAJOR;
    metadata->api_version.minor_version = XLA_FFI_API_MINOR;
    metadata->traits = 0;
    metadata->state_type_id = (XLA_FFI_TypeId){0};
    return NULL;
  }
  int64_t number = *(int64_t *)((XLA_FFI_Scalar *)frame->attrs.attrs[0])->value;
  int64_t given = frame->args.size, count = given + frame->rets.size;
  Plan *plan = found(number);
  if (!plan) return complaint(frame, "this process has not prepared plan", number);
  if (count > ENOUGH) return complaint(frame, "too many arrays:", count);
  void *addresses[ENOUGH];
  for (int64_t i = 0; i < count; i++) {
    void *buffer = i < given ? frame->args.args[i] : frame->rets.rets[i - given];
    addresses[i] = ((XLA_FFI_Buffer *)buffer)->data;
  }
  int status = 0;
  pthread_mutex_lock(&turn);
  for (int64_t i = 0; !status && i < plan->step_count; i++) status = run(&plan->steps[i], addresses);
  pthread_mutex_unlock(&turn);
  return status ? complaint(frame, "status", status) : NULL;
}
