// y[m, n] = activation(sum over k of A[m, k] w[n, k] + bias[n] + residual[m, n]): m is a position of the result, n a
// filter, k = (row, column, channel) of the kernel; A[m, k] is x where position m sees it through k, 0 outside of it.
//
// A block computes BM positions by BN filters of 128 bytes of k (a unit) at a time, from STAGES units in shared memory,
// by WARPS_M x WARPS_N warps. SPLIT blocks of a cluster share the units of a tile; each ends up with BM / SPLIT rows of
// it, to which all send their parts.
//
// The kernel may start before the one before it ends: weights (EARLY) are loaded at once, all else after the wait.
// Macros: NAME, TYPE, MMA, ROUND, ACTIVATE, PIECE, and those above. It stands behind tensor_core.cu.
constexpr int THREADS = 32 * WARPS_M * WARPS_N;
constexpr int ROWS = THREADS / 8, A_ROWS = (BM + ROWS - 1) / ROWS, B_ROWS = (BN + ROWS - 1) / ROWS;
constexpr int M_FRAGMENTS = BM / WARPS_M / 16, N_FRAGMENTS = BN / WARPS_N / 8;
constexpr int STAGE_BYTES = (BM + BN) * 128, STAGED = BN + 8;
constexpr int OWN_ROWS = BM / SPLIT, PER_ROW = BN / PER_CHUNK;
constexpr int ITEMS = (OWN_ROWS * PER_ROW + THREADS - 1) / THREADS;

// Two sums into the shared memory of a block of the cluster.
__device__ __forceinline__ void put(u32 at, int rank, float v0, float v1) {
#if SPLIT > 1
  u32 there;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(at), "r"(rank));
  asm volatile("st.shared::cluster.v2.f32 [%0], {%1, %2};" ::"r"(there), "f"(v0), "f"(v1) : "memory");
#else
  asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(at), "f"(v0), "f"(v1) : "memory");
#endif
}

#if SPLIT > 1
#define CLUSTER __cluster_dims__(SPLIT, 1, 1)
#define ARRIVE(how) asm volatile("barrier.cluster.arrive." how ";" ::: "memory")
#define WAIT_FOR_ALL asm volatile("barrier.cluster.wait.acquire;" ::: "memory")
#else
#define CLUSTER
#define ARRIVE(how)
#define WAIT_FOR_ALL __syncthreads()
#endif

extern "C" __global__ void CLUSTER __launch_bounds__(THREADS)
NAME(const TYPE* x, const TYPE* w, const TYPE* bias,
     const TYPE* residual, TYPE* y, int M, int N, int K, int C, int S, int H, int W, int OH, int OW,
     int step_h, int step_w, int pad_h, int pad_w, int apart_h, int apart_w) {
  extern __shared__ __align__(128) char memory[];
  START_NEXT;
  ARRIVE("relaxed");  // every block of the cluster runs: then its shared memory may be written
  const u32 shared = (u32)__cvta_generic_to_shared(memory);
  const int tid = threadIdx.x, lane = tid & 31, warp = tid >> 5;
  const int rank = blockIdx.x, n0 = blockIdx.y * BN, m0 = blockIdx.z * BM;
  const int units = (K + UNIT - 1) / UNIT, first = units * rank / SPLIT, count = units * (rank + 1) / SPLIT - first;
  const int chunk = tid & 7, row = tid >> 3;
  int k = first * UNIT + chunk * PER_CHUNK;

  const TYPE* filter[B_ROWS];
#pragma unroll
  for (int i = 0; i < B_ROWS; i++) {
    const int n = n0 + row + i * ROWS;
    filter[i] = n < N ? w + (long long)n * K : nullptr;
  }
  auto load_filters = [&](int u, int k) {
    const u32 to = shared + u % STAGES * STAGE_BYTES + BM * 128;
#pragma unroll
    for (int i = 0; i < B_ROWS; i++) {
#pragma unroll
      for (int p = 0; p < PIECES; p++) {
        const bool seen = filter[i] != nullptr && k + p * PIECE < K;
        if (BN % ROWS == 0 || row + i * ROWS < BN)
          copy_async(to + place(row + i * ROWS, chunk) + p * PIECE_BYTES, seen ? filter[i] + k + p * PIECE : w, seen);
      }
    }
  };
  if (EARLY)
    for (int u = 0; u < STAGES - 1; u++)
      if (u < count) load_filters(u, k + u * UNIT);

  int top[A_ROWS], left[A_ROWS];
  const TYPE* image[A_ROWS];
#pragma unroll
  for (int i = 0; i < A_ROWS; i++) {
    const int m = m0 + row + i * ROWS, b = m / (OH * OW), at = m - b * (OH * OW), oh = at / OW;
    top[i] = m < M ? oh * step_h - pad_h : -(1 << 28);
    left[i] = (at - oh * OW) * step_w - pad_w;
    image[i] = x + (((long long)b * H + top[i]) * W + left[i]) * C;
  }
  int c[PIECES], s[PIECES], r[PIECES];
#pragma unroll
  for (int p = 0; p < PIECES; p++) {
    const int tap = (k + p * PIECE) / C;
    c[p] = k + p * PIECE - tap * C, r[p] = tap / S, s[p] = tap - r[p] * S;
  }
  auto load_images = [&](int u) {
    const u32 to = shared + u % STAGES * STAGE_BYTES;
#pragma unroll
    for (int p = 0; p < PIECES; p++) {
      const int down = r[p] * apart_h, right = s[p] * apart_w;
      const long long offset = ((long long)down * W + right) * C + c[p];
#pragma unroll
      for (int i = 0; i < A_ROWS; i++) {
        const bool seen = k + p * PIECE < K && (u32)(top[i] + down) < (u32)H && (u32)(left[i] + right) < (u32)W;
        if (BM % ROWS == 0 || row + i * ROWS < BM)
          copy_async(to + place(row + i * ROWS, chunk) + p * PIECE_BYTES, seen ? image[i] + offset : x, seen);
      }
      c[p] += UNIT;
      while (c[p] >= C) {
        c[p] -= C;
        if (++s[p] == S) s[p] = 0, ++r[p];
      }
    }
    k += UNIT;
  };
  Chunk added[ITEMS] = {}, more[ITEMS] = {};
  auto place_of = [&](int i, int& local_m, int& local_n) {
    const int item = tid + i * THREADS;
    local_m = item / PER_ROW, local_n = item % PER_ROW * PER_CHUNK;
    return local_m < OWN_ROWS && m0 + rank * OWN_ROWS + local_m < M && n0 + local_n < N;
  };
#pragma unroll
  for (int i = 0; i < ITEMS; i++) {
    int local_m, local_n;
    if (EARLY && place_of(i, local_m, local_n) && bias) added[i] = *(const Chunk*)(bias + n0 + local_n);
  }
  WAIT_FOR_LAST;
  for (int u = 0; u < STAGES - 1; u++) {
    if (u < count) {
      if (!EARLY) load_filters(u, k);
      load_images(u);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  }

#pragma unroll
  for (int i = 0; i < ITEMS; i++) {
    int local_m, local_n;
    if (!place_of(i, local_m, local_n)) continue;
    if (!EARLY && bias) added[i] = *(const Chunk*)(bias + n0 + local_n);
    if (residual)
      more[i] = *(const Chunk*)(residual + (long long)(m0 + rank * OWN_ROWS + local_m) * N + n0 + local_n);
  }
  float acc[M_FRAGMENTS][N_FRAGMENTS][4] = {};
  const int warp_m = warp / WARPS_N * (BM / WARPS_M), warp_n = warp % WARPS_N * (BN / WARPS_N);
  const int a_row = warp_m + (lane & 15), a_chunk = lane >> 4;
  const int b_row = warp_n + (lane & 7) + (lane >> 4) * 8, b_chunk = lane >> 3 & 1;
  for (int u = 0; u < count; u++) {
    asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
    __syncthreads();
    if (u + STAGES - 1 < count) {
      load_filters(u + STAGES - 1, k);
      load_images(u + STAGES - 1);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
    const u32 a_tile = shared + u % STAGES * STAGE_BYTES, b_tile = a_tile + BM * 128;
#pragma unroll
    for (int step = 0; step < 4; step++) {
      u32 a[M_FRAGMENTS][4], b[N_FRAGMENTS / 2][4];
#pragma unroll
      for (int i = 0; i < M_FRAGMENTS; i++) load_matrices(a[i], a_tile + place(a_row + i * 16, 2 * step + a_chunk));
#pragma unroll
      for (int j = 0; j < N_FRAGMENTS / 2; j++) load_matrices(b[j], b_tile + place(b_row + j * 16, 2 * step + b_chunk));
#pragma unroll
      for (int i = 0; i < M_FRAGMENTS; i++)
#pragma unroll
        for (int q = 0; q < 4; q++) { ROUND(a[i][q]); }
#pragma unroll
      for (int j = 0; j < N_FRAGMENTS / 2; j++)
#pragma unroll
        for (int q = 0; q < 4; q++) { ROUND(b[j][q]); }
#pragma unroll
      for (int i = 0; i < M_FRAGMENTS; i++)
#pragma unroll
        for (int j = 0; j < N_FRAGMENTS; j++) multiply(acc[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
    }
  }
  asm volatile("cp.async.wait_all;" ::: "memory");
  WAIT_FOR_ALL;
  const u32 parts = shared + STAGES * STAGE_BYTES;
#pragma unroll
  for (int i = 0; i < M_FRAGMENTS; i++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int local_m = warp_m + i * 16 + half * 8 + (lane >> 2), owner = local_m / OWN_ROWS;
#pragma unroll
      for (int j = 0; j < N_FRAGMENTS; j++) {
        const int local_n = warp_n + j * 8 + (lane & 3) * 2;
        put(parts + ((rank * OWN_ROWS + local_m % OWN_ROWS) * STAGED + local_n) * 4, owner, acc[i][j][2 * half],
            acc[i][j][2 * half + 1]);
      }
    }
  ARRIVE("release");
  WAIT_FOR_ALL;
#pragma unroll
  for (int i = 0; i < ITEMS; i++) {
    int local_m, local_n;
    if (!place_of(i, local_m, local_n)) continue;
    float sum[PER_CHUNK] = {};
#pragma unroll
    for (int part = 0; part < SPLIT; part++) {
      const float* from = (const float*)(memory + STAGES * STAGE_BYTES) + (part * OWN_ROWS + local_m) * STAGED + local_n;
#pragma unroll
      for (int q = 0; q < PER_CHUNK; q++) sum[q] += from[q];
    }
    Chunk result;
#pragma unroll
    for (int q = 0; q < PER_CHUNK; q++) {
      float value = sum[q] + load(added[i].v[q]) + load(more[i].v[q]);
      store(result.v[q], ACTIVATE(value));
    }
    *(Chunk*)(y + (long long)(m0 + rank * OWN_ROWS + local_m) * N + n0 + local_n) = result;
  }
}
