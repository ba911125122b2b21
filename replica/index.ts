/**
 * `seawall/replica`: everything that lies in a bucket, and every operation on it.
 *
 * @module seawall/replica
 */
import './runtime/require-node.ts';

export { compact, DEFAULT_COMPACTION, planCompaction } from './compaction/compact.ts';
export type { CompactedSnapshot, CompactedSnapshotOptions } from './compaction/compacted-snapshot.ts';
export type { CompactionOutcome, CompactionPlan, CompactionPolicy, CompactOptions } from './compaction/compact.ts';
export type { Claim } from './catalogue/claim.ts';
export type { Floors } from './catalogue/floors.ts';
export type { FoundHead, Head } from './catalogue/head.ts';
export { isKind, SeawallError } from './terms/errors.ts';
export type { ErrorFacts, ErrorKind } from './terms/errors.ts';
export { formatChecksum } from './format/page-hashes.ts';
export type { DatabaseState } from './terms/database-state.ts';
export type { CodecName } from './terms/layout.ts';
export type { FileOwner } from './format/snapshot.ts';
export type { Image } from './image/image.ts';
export type { ImageResult, Proof } from './image/image-proof.ts';
export type { ImageWriteOptions } from './image/to-file/image-writer.ts';
export type { PageFile } from './image/to-file/target-file.ts';
export type { OpenAtOptions } from './image/by-page/page-reader.ts';
export type { PastState } from './image/by-page/past-state.ts';
export { comparePlaces, formatPosition, parsePosition } from './terms/position.ts';
export type { Place, Position } from './terms/position.ts';
export { choose, openAt } from './restore/choose.ts';
export type { FileImage, Restorable, WrittenState } from './restore/restorable.ts';
export { restore, restoreState } from './restore/restore.ts';
export type { Restored, RestoreOptions } from './restore/restore.ts';
export { planRetention } from './retention/planner.ts';
export type { Failure } from './retention/deleter.ts';
export type { Inventory, StockedGeneration, StockedSegment, StockedSnapshot } from './retention/inventory.ts';
export { takeInventory } from './retention/inventory.ts';
export type { Doomed, Kept, Refusal, RetentionPlan } from './retention/planner.ts';
export { DEFAULT_RETENTION, retentionPolicy } from './retention/policy.ts';
export type { RetentionPolicy } from './retention/policy.ts';
export { retain } from './retention/retain.ts';
export type { Amount, RetainOptions, RetainReport } from './retention/retain.ts';
export type { IsDatabase } from './catalogue/databases.ts';
export { findDatabases } from './catalogue/databases.ts';
export { openStore } from './store/open.ts';
export type { OpenStoreOptions } from './store/open.ts';
export type { HttpTicket } from './store/range-client.ts';
export type { FileTicket, ReadTicket } from './store/read-ticket.ts';
export type { S3StoreOptions } from './store/s3/bucket.ts';
export { scoped } from './store/scoped.ts';
export type * from './store/store.ts';
export { formatTime, LATEST, parseTarget } from './terms/target.ts';
export type { Target } from './terms/target.ts';
export { loadTimeline } from './catalogue/timeline.ts';
export type { SegmentRef } from './objects/segment-reader.ts';
export type { SnapshotRef } from './objects/snapshot-reader.ts';
export type { Generation } from './catalogue/generation.ts';
export type { ConcurrentGeneration } from './catalogue/other-program.ts';
export type { Timeline, Tolerance } from './catalogue/timeline.ts';
export { verify } from './verification/verify.ts';
export type { GenerationReport, Problem, ProofCount } from './verification/findings.ts';
export type { VerifyOptions, VerifyReport } from './verification/verify.ts';
