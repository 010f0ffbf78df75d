/* libnvidia-ml.so.1 with two GPUs, as far as a meter asks: 100 W and 200 W, 10 and 20 GiB in use, 40 and 80 % busy.
 * Return codes and signatures: NVIDIA's NVML API reference. Needs no headers and links no library.
 * While the file $NVML_IN_USE, if that is set, is not there, 1 GiB less 1 MiB is in use; while it is, the process $NVML_PID
 * uses the GPUs. NO_ENERGY: a GPU older than Volta, which counts no energy. NO_DRIVER: the driver is not loaded. */
typedef unsigned long long u64;
struct timespec_ { long s, ns; };
extern int clock_gettime(int, struct timespec_ *);
extern char *getenv(const char *);
extern int access(const char *, int);
extern int atoi(const char *);

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, DRIVER_NOT_LOADED = 9 };

static u64 number(void *device) { return (u64)device; } /* 1 and 2 */

static int in_use(void) {
  const char *file = getenv("NVML_IN_USE");
  return !file || access(file, 0) == 0;
}

int nvmlInitWithFlags(unsigned flags) {
  (void)flags;
#ifdef NO_DRIVER
  return DRIVER_NOT_LOADED;
#else
  return SUCCESS;
#endif
}

int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { (void)code; return "an error"; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
  if (index > 1) return NOT_FOUND;
  *device = (void *)(u64)(index + 1);
  return SUCCESS;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
  const char *known = "GPU-one";
  for (int i = 0; known[i] || uuid[i]; i++)
    if (known[i] != uuid[i]) return NOT_FOUND;
  *device = (void *)2;
  return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(void *device, u64 *memory) { /* total, free, used: bytes */
  memory[0] = 80ULL << 30;
  memory[2] = in_use() ? number(device) * 10 << 30 : 1023ULL << 20;
  memory[1] = memory[0] - memory[2];
  return SUCCESS;
}

struct process { unsigned pid; u64 used; unsigned instances[2]; };

int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct process *found) {
  (void)device;
  const char *pid = getenv("NVML_PID");
  unsigned room = *count;
  *count = pid && in_use() ? 1 : 0;
  if (room < *count) return TOO_SMALL;
  if (*count) found[0].pid = (unsigned)atoi(pid);
  return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(void *device, unsigned *rates) { /* gpu, memory: per cent */
  rates[0] = 40 * (unsigned)number(device);
  rates[1] = 7;
  return SUCCESS;
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) {
  *milliwatts = 100000 * (unsigned)number(device);
  return SUCCESS;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, u64 *millijoules) {
#ifdef NO_ENERGY
  (void)device; (void)millijoules;
  return NOT_SUPPORTED;
#else
  struct timespec_ now;
  clock_gettime(1, &now);
  *millijoules = number(device) * 100 * ((u64)now.s * 1000 + (u64)now.ns / 1000000);
  return SUCCESS;
#endif
}
