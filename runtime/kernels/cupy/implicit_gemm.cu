// y[m, n] = activation(sum over k of A[m, k] w[n, k] + bias[n] + residual[m, n]): m is a position of the result, n a
// filter, k = (row, column, channel) of the kernel; A[m, k] is x where position m sees it through k, 0 outside of it.
// The rows of y begin `pitch` elements apart, the pixels of x `x_pitch`.
//
// A block computes BM positions by BN filters of 128 bytes of k (a unit) at a time, from STAGES units in shared memory,
// by WARPS_M x WARPS_N warps, which take AT_ONCE of a unit's four steps from there before they multiply. SPLIT blocks of
// a cluster share the units of a tile; each ends up with BM / SPLIT rows of it, to which all send their parts, and waits
// for these alone: a barrier of the cluster takes half a microsecond more.
//
// The kernel may start before the one before it ends: weights (EARLY) are loaded at once, all else after the wait.
// Macros: NAME, TYPE, MMA, ROUND, ACTIVATE, PIECE, and those above. It stands behind tensor_core.cu.
constexpr int THREADS = 32 * WARPS_M * WARPS_N;
constexpr int ROWS = THREADS / 8, A_ROWS = (BM + ROWS - 1) / ROWS, B_ROWS = (BN + ROWS - 1) / ROWS;
constexpr int M_FRAGMENTS = BM / WARPS_M / 16, N_FRAGMENTS = BN / WARPS_N / 8;
constexpr int STAGE_BYTES = (BM + BN) * 128, STAGED = BN + 8;
constexpr int OWN_ROWS = BM / SPLIT, PER_ROW = BN / PER_CHUNK;
constexpr int ITEMS = (OWN_ROWS * PER_ROW + THREADS - 1) / THREADS;

#if SPLIT > 1
#define CLUSTER __cluster_dims__(SPLIT, 1, 1)

// Opens `mail`, which counts the parts of this block's rows as they come; in_place() returns once all blocks have one.
__device__ __forceinline__ void open_mail(u32 mail) {
  if (threadIdx.x == 0) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(mail) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(mail), "n"(BM * BN * 4) : "memory");
  }
  asm volatile("barrier.cluster.arrive.relaxed;" ::: "memory");
}
__device__ __forceinline__ void in_place() { asm volatile("barrier.cluster.wait.acquire;" ::: "memory"); }

// Four sums into the shared memory of a block of the cluster.
__device__ __forceinline__ void put(u32 at, u32 mail, int rank, float v0, float v1, float v2, float v3) {
  u32 there, mail_there;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(at), "r"(rank));
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(mail_there) : "r"(mail), "r"(rank));
  asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, [%5];"
               ::"r"(there), "f"(v0), "f"(v1), "f"(v2), "f"(v3), "r"(mail_there) : "memory");
}
__device__ __forceinline__ void receive(u32 mail) {
  u32 done = 0;
  while (!done)
    asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], 0; selp.u32 %0, 1, 0, p; }"
                 : "=r"(done) : "r"(mail) : "memory");
}
#else
#define CLUSTER
__device__ __forceinline__ void open_mail(u32) {}
__device__ __forceinline__ void in_place() {}
__device__ __forceinline__ void put(u32 at, u32, int, float v0, float v1, float v2, float v3) {
  asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(at), "f"(v0), "f"(v1), "f"(v2), "f"(v3) : "memory");
}
__device__ __forceinline__ void receive(u32) { __syncthreads(); }
#endif

extern "C" __global__ void CLUSTER __launch_bounds__(THREADS)
NAME(const TYPE* x, const TYPE* w, const TYPE* bias,
     const TYPE* residual, TYPE* y, int M, int N, int K, int C, int S, int H, int W, int OH, int OW,
     int step_h, int step_w, int pad_h, int pad_w, int apart_h, int apart_w, int pitch, int x_pitch) {
  extern __shared__ __align__(128) char memory[];
  START_NEXT;
  const u32 shared = (u32)__cvta_generic_to_shared(memory);
  const u32 parts = shared + STAGES * STAGE_BYTES, mail = parts + BM * STAGED * 4;
  open_mail(mail);
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
#pragma unroll
    for (int u = 0; u < STAGES - 1; u++)
      if (u < count) load_filters(u, k + u * UNIT);

  int top[A_ROWS], left[A_ROWS], image[A_ROWS];
#pragma unroll
  for (int i = 0; i < A_ROWS; i++) {
    const int m = m0 + row + i * ROWS, b = m / (OH * OW), at = m - b * (OH * OW), oh = at / OW;
    top[i] = m < M ? oh * step_h - pad_h : -(1 << 28);
    left[i] = (at - oh * OW) * step_w - pad_w;
    image[i] = ((b * H + top[i]) * W + left[i]) * x_pitch;  // where its top left lies in x, or would lie
  }
  int c[PIECES], s[PIECES], r[PIECES];
#pragma unroll
  for (int p = 0; p < PIECES; p++) {
    const int tap = (k + p * PIECE) / C;
    c[p] = k + p * PIECE - tap * C, r[p] = tap / S, s[p] = tap - r[p] * S;
  }
  // Where the next unit's pieces lie in x; -1 for what is not seen.
  auto find_images = [&](int (&at)[PIECES][A_ROWS]) {
#pragma unroll
    for (int p = 0; p < PIECES; p++) {
      const int down = r[p] * apart_h, right = s[p] * apart_w;
      const int offset = (down * W + right) * x_pitch + c[p];
#pragma unroll
      for (int i = 0; i < A_ROWS; i++) {
        const bool seen = k + p * PIECE < K && (u32)(top[i] + down) < (u32)H && (u32)(left[i] + right) < (u32)W;
        at[p][i] = seen ? image[i] + offset : -1;
      }
      c[p] += UNIT;
      while (c[p] >= C) {
        c[p] -= C;
        if (++s[p] == S) s[p] = 0, ++r[p];
      }
    }
    k += UNIT;
  };
  auto load_images = [&](int u, const int (&at)[PIECES][A_ROWS]) {
    const u32 to = shared + u % STAGES * STAGE_BYTES;
#pragma unroll
    for (int p = 0; p < PIECES; p++)
#pragma unroll
      for (int i = 0; i < A_ROWS; i++) {
        if (BM % ROWS == 0 || row + i * ROWS < BM)
          copy_async(to + place(row + i * ROWS, chunk) + p * PIECE_BYTES, x + max(at[p][i], 0), at[p][i] >= 0);
      }
  };
  const int k_start = k;
  int found[STAGES - 1][PIECES][A_ROWS];
#pragma unroll
  for (int u = 0; u < STAGES - 1; u++) find_images(found[u]);
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
#pragma unroll
  for (int u = 0; u < STAGES - 1; u++) {
    if (u < count) {
      if (!EARLY) load_filters(u, k_start + u * UNIT);
      load_images(u, found[u]);
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
  in_place();  // all loads are under way
  float acc[M_FRAGMENTS][N_FRAGMENTS][4] = {};
  const int warp_m = warp / WARPS_N * (BM / WARPS_M), warp_n = warp % WARPS_N * (BN / WARPS_N);
  const int a_row = warp_m + (lane & 15), a_chunk = lane >> 4;
  const int b_row = warp_n + (lane & 7) + (lane >> 4) * 8, b_chunk = lane >> 3 & 1;
  for (int u = 0; u < count; u++) {
    asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
    __syncthreads();
    const u32 a_tile = shared + u % STAGES * STAGE_BYTES, b_tile = a_tile + BM * 128;
    u32 a[AT_ONCE][M_FRAGMENTS][4], b[AT_ONCE][N_FRAGMENTS / 2][4];
#pragma unroll
    for (int done = 0; done < 4; done += AT_ONCE) {
#pragma unroll
      for (int step = 0; step < AT_ONCE; step++) {
#pragma unroll
        for (int i = 0; i < M_FRAGMENTS; i++)
          load_matrices(a[step][i], a_tile + place(a_row + i * 16, 2 * (done + step) + a_chunk));
#pragma unroll
        for (int j = 0; j < N_FRAGMENTS / 2; j++)
          load_matrices(b[step][j], b_tile + place(b_row + j * 16, 2 * (done + step) + b_chunk));
      }
      if (done == 0) {
        if (u + STAGES - 1 < count) {
          load_filters(u + STAGES - 1, k);
          int at[PIECES][A_ROWS];
          find_images(at);
          load_images(u + STAGES - 1, at);
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
      }
#pragma unroll
      for (int step = 0; step < AT_ONCE; step++) {
#pragma unroll
        for (int i = 0; i < M_FRAGMENTS; i++)
#pragma unroll
          for (int q = 0; q < 4; q++) { ROUND(a[step][i][q]); }
#pragma unroll
        for (int j = 0; j < N_FRAGMENTS / 2; j++)
#pragma unroll
          for (int q = 0; q < 4; q++) { ROUND(b[step][j][q]); }
#pragma unroll
        for (int i = 0; i < M_FRAGMENTS; i++)
#pragma unroll
          for (int j = 0; j < N_FRAGMENTS; j++)
            multiply(acc[i][j], a[step][i], b[step][j / 2][j % 2 * 2], b[step][j / 2][j % 2 * 2 + 1]);
      }
    }
  }
  asm volatile("cp.async.wait_all;" ::: "memory");
  // Of two neighbouring lanes, which hold two columns of rows r and r + 8 each, the even one takes four columns of row r.
  const bool odd = lane & 1;
#pragma unroll
  for (int i = 0; i < M_FRAGMENTS; i++) {
    const int local_m = warp_m + i * 16 + odd * 8 + (lane >> 2), owner = local_m / OWN_ROWS;
    const u32 to = parts + ((rank * OWN_ROWS + local_m % OWN_ROWS) * STAGED + warp_n + (lane & 2) * 2) * 4;
#pragma unroll
    for (int j = 0; j < N_FRAGMENTS; j++) {
      const float(&v)[4] = acc[i][j];
      const float given0 = __shfl_xor_sync(~0u, odd ? v[0] : v[2], 1), given1 = __shfl_xor_sync(~0u, odd ? v[1] : v[3], 1);
      put(to + j * 32, mail, owner, odd ? given0 : v[0], odd ? given1 : v[1], odd ? v[2] : given0, odd ? v[3] : given1);
    }
  }
  receive(mail);
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
    *(Chunk*)(y + (long long)(m0 + rank * OWN_ROWS + local_m) * pitch + n0 + local_n) = result;
  }
}
