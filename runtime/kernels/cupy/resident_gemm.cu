// The product of implicit_gemm.cu for few filters of little k and many positions: an image network's first layers.
//
// All filters stay with a block, in registers where IN_REGISTERS, else in shared memory, and it walks over tiles of BM
// positions: it loads the next one while it computes one. UNITS is all of k; the result of a tile takes the place of its
// images on its way out. There is no residual.
//
// Macros: NAME, TYPE, MMA, ROUND, ACTIVATE, PIECE, EARLY, BM, BN, WARPS_M, WARPS_N, UNITS, IN_REGISTERS. It stands
// behind tensor_core.cu and the sizes M, N, K, C, S, H, W, OH, OW, the window's, PITCH (between rows of y) and X_PITCH
// (between pixels of x), as constants: divisions by them are cheap.
constexpr int THREADS = 32 * WARPS_M * WARPS_N;
constexpr int ROWS = THREADS / 8, A_ROWS = BM / ROWS, B_ROWS = BN / ROWS;
constexpr int M_FRAGMENTS = BM / WARPS_M / 16, N_FRAGMENTS = BN / WARPS_N / 8;
constexpr int STEPS = 4 * UNITS, B_LOADS = N_FRAGMENTS / 2;
constexpr int STAGED = BN + 16 / sizeof(TYPE), PER_ROW = BN / PER_CHUNK, ITEMS = BM * PER_ROW / THREADS;
constexpr int A_BYTES = UNITS * BM * 128, STAGED_BYTES = BM * STAGED * sizeof(TYPE);
constexpr int B_BYTES = UNITS * BN * 128, BUFFER = A_BYTES > STAGED_BYTES ? A_BYTES : STAGED_BYTES;
constexpr int TILES = (M + BM - 1) / BM, NOWHERE = 1 << 28;
static_assert(BM % ROWS == 0 && BN % ROWS == 0 && THREADS % PER_ROW == 0, "threads share rows evenly");

struct alignas(2 * sizeof(TYPE)) Pair { TYPE v[2]; };

extern "C" __global__ void __launch_bounds__(THREADS)
NAME(const TYPE* x, const TYPE* w, const TYPE* bias, const TYPE* residual, TYPE* y) {
  extern __shared__ __align__(128) char memory[];
  START_NEXT;
  const u32 filters = (u32)__cvta_generic_to_shared(memory), images = filters + B_BYTES;
  const int tid = threadIdx.x, lane = tid & 31, warp = tid >> 5;
  const int chunk = tid & 7, row = tid >> 3, column = tid % PER_ROW * PER_CHUNK;
  const int warp_m = warp / WARPS_N * (BM / WARPS_M), warp_n = warp % WARPS_N * (BN / WARPS_N);
  float added[N_FRAGMENTS][2] = {};
  auto load_filters = [&]() {
#pragma unroll
    for (int u = 0; u < UNITS; u++)
#pragma unroll
      for (int i = 0; i < B_ROWS; i++)
#pragma unroll
        for (int p = 0; p < PIECES; p++) {
          const int n = row + i * ROWS, k = u * UNIT + chunk * PER_CHUNK + p * PIECE;
          const bool seen = n < N && k < K;
          copy_async(filters + u * BN * 128 + place(n, chunk) + p * PIECE_BYTES, seen ? w + n * K + k : w, seen);
        }
#pragma unroll
    for (int j = 0; j < N_FRAGMENTS; j++) {
      const int n = warp_n + j * 8 + (lane & 3) * 2;
      if (bias && n < N) added[j][0] = load(bias[n]), added[j][1] = load(bias[n + 1]);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
  if (EARLY) load_filters();

  // Where this thread's pieces of k see the image, from a window's first pixel.
  int down[UNITS][PIECES], right[UNITS][PIECES], offset[UNITS][PIECES];
#pragma unroll
  for (int u = 0; u < UNITS; u++)
#pragma unroll
    for (int p = 0; p < PIECES; p++) {
      const int k = u * UNIT + chunk * PER_CHUNK + p * PIECE, tap = k / C, r = tap / S;
      down[u][p] = k < K ? r * APART_H : 2 * NOWHERE, right[u][p] = (tap - r * S) * APART_W;
      offset[u][p] = (r * APART_H * W + right[u][p]) * X_PITCH + (k - tap * C);
    }
  int top[A_ROWS], left[A_ROWS];
  const TYPE* image[A_ROWS];
  auto find_images = [&](int tile) {
#pragma unroll
    for (int i = 0; i < A_ROWS; i++) {
      const int m = tile * BM + row + i * ROWS, b = m / (OH * OW), at = m - b * (OH * OW), oh = at / OW;
      top[i] = m < M ? oh * STEP_H - PAD_H : -NOWHERE, left[i] = (at - oh * OW) * STEP_W - PAD_W;
      image[i] = x + (((long long)b * H + top[i]) * W + left[i]) * X_PITCH;
    }
  };
  auto load_images = [&](u32 to) {
#pragma unroll
    for (int i = 0; i < A_ROWS; i++) {
#pragma unroll
      for (int u = 0; u < UNITS; u++)
#pragma unroll
        for (int p = 0; p < PIECES; p++) {
          const bool seen = (u32)(top[i] + down[u][p]) < (u32)H && (u32)(left[i] + right[u][p]) < (u32)W;
          copy_async(to + u * BM * 128 + place(row + i * ROWS, chunk) + p * PIECE_BYTES,
                     seen ? image[i] + offset[u][p] : x, seen);
        }
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
  find_images(blockIdx.x);
  WAIT_FOR_LAST;
  if (!EARLY) load_filters();
  load_images(images);

  const int a_row = warp_m + (lane & 15), a_chunk = lane >> 4;
  const int b_row = warp_n + (lane & 7) + (lane >> 4) * 8, b_chunk = lane >> 3 & 1;
  auto read_filters = [&](int step, u32 (&b)[B_LOADS][4]) {
#pragma unroll
    for (int j = 0; j < B_LOADS; j++) {
      load_matrices(b[j], filters + step / 4 * BN * 128 + place(b_row + j * 16, 2 * (step % 4) + b_chunk));
#pragma unroll
      for (int q = 0; q < 4; q++) { ROUND(b[j][q]); }
    }
  };
  u32 kept[IN_REGISTERS ? STEPS : 1][B_LOADS][4];
  asm volatile("cp.async.wait_group 1;" ::: "memory");  // the filters; the images are still under way
  __syncthreads();
  if (IN_REGISTERS)
#pragma unroll
    for (int step = 0; step < STEPS; step++) read_filters(step, kept[IN_REGISTERS ? step : 0]);

  for (int tile = blockIdx.x, turn = 0; tile < TILES; tile += gridDim.x, turn ^= 1) {
    asm volatile("cp.async.wait_all;" ::: "memory");
    __syncthreads();
    if (tile + gridDim.x < TILES) {
      find_images(tile + gridDim.x);
      load_images(images + (turn ^ 1) * BUFFER);
    }
    const u32 seen = images + turn * BUFFER;
    float acc[M_FRAGMENTS][N_FRAGMENTS][4] = {};
#pragma unroll
    for (int step = 0; step < STEPS; step++) {
      u32 a[M_FRAGMENTS][4], read[B_LOADS][4];
      if (!IN_REGISTERS) read_filters(step, read);
      const u32(&b)[B_LOADS][4] = IN_REGISTERS ? kept[IN_REGISTERS ? step : 0] : read;
#pragma unroll
      for (int i = 0; i < M_FRAGMENTS; i++) {
        load_matrices(a[i], seen + step / 4 * BM * 128 + place(a_row + i * 16, 2 * (step % 4) + a_chunk));
#pragma unroll
        for (int q = 0; q < 4; q++) { ROUND(a[i][q]); }
      }
#pragma unroll
      for (int i = 0; i < M_FRAGMENTS; i++)
#pragma unroll
        for (int j = 0; j < N_FRAGMENTS; j++) multiply(acc[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
    }
    __syncthreads();
    TYPE* const staged = (TYPE*)(memory + B_BYTES + turn * BUFFER);
#pragma unroll
    for (int i = 0; i < M_FRAGMENTS; i++)
#pragma unroll
      for (int half = 0; half < 2; half++)
#pragma unroll
        for (int j = 0; j < N_FRAGMENTS; j++) {
          const int local_m = warp_m + i * 16 + half * 8 + (lane >> 2), local_n = warp_n + j * 8 + (lane & 3) * 2;
          Pair pair;
#pragma unroll
          for (int q = 0; q < 2; q++) {
            float value = acc[i][j][2 * half + q] + added[j][q];
            store(pair.v[q], ACTIVATE(value));
          }
          *(Pair*)(staged + local_m * STAGED + local_n) = pair;
        }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
      const int local_m = tid / PER_ROW + i * (THREADS / PER_ROW), m = tile * BM + local_m;
      if (m < M && column < N) *(Chunk*)(y + (long long)m * PITCH + column) = *(const Chunk*)(staged + local_m * STAGED + column);
    }
  }
}
