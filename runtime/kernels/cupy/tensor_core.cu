// What the kernels of implicit GEMM are made of: loads to shared memory in chunks of 16 bytes, and products of tiles.
//
// A unit is 128 bytes of k. Macros: TYPE, MMA, PIECE (elements of k that lie together).
typedef unsigned int u32;

struct alignas(16) Chunk { TYPE v[16 / sizeof(TYPE)]; };
constexpr int PER_CHUNK = 16 / sizeof(TYPE), UNIT = 8 * PER_CHUNK;
constexpr int PIECES = PER_CHUNK / PIECE, PIECE_BYTES = PIECE * sizeof(TYPE);

__device__ __forceinline__ void copy_async(u32 to, const void* from, bool seen) {
  if (PIECE_BYTES == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(seen ? 16 : 0) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(from), "n"(PIECE_BYTES),
                 "r"(seen ? PIECE_BYTES : 0) : "memory");
}
__device__ __forceinline__ void load_matrices(u32 (&r)[4], u32 at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
}
__device__ __forceinline__ void multiply(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm(MMA " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
// Where a 16-byte chunk of a tile's row lies: rows are 128 bytes, their chunks permuted so that no two of 8 rows collide.
__device__ __forceinline__ u32 place(int row, int chunk) { return row * 128 + ((chunk ^ (row & 7)) << 4); }
