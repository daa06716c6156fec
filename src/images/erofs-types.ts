/** Values the parts of the index writer hand to each other. */

/** Bytes of a tar to be copied behind the index. */
export interface Copy {
  readonly layer: number;
  /** Offset in the layer's tar. */
  readonly from: number;
  readonly length: number;
  /** Offset from the start of the copied area. */
  readonly to: number;
}

export interface ChunkMap {
  /** Blocks in a chunk, as a power of two. */
  readonly bits: number;
  readonly count: number;
  /** Chunk number to bytes: in the tar when `copied` is 0, else in the copied area. Absent chunks are holes. */
  readonly chunks: ReadonlyMap<number, number>;
  /** Bytes of the copied area that the file takes. */
  readonly copied: number;
  readonly copies: readonly Omit<Copy, "layer">[];
}
