;; Unpacks LZ4 blocks (lz4_Block_format.md of the LZ4 project) and hashes the pages in them, in one memory: block-buffer.ts
;; says where. xxhash.ts uses the same loops in a memory of its own. block-program-code.ts holds what this is assembled to.
(module
  (memory (export "memory") 1)

  ;; Adds up a length that goes on in bytes of its own, while they are 255: puts where they end into $past.
  (global $past (mut i32) (i32.const 0))
  (func $extended (param $at i32) (param $end i32) (param $length i32) (result i32)
    (local $more i32)
    (loop $next
      (if (i32.ge_u (local.get $at) (local.get $end)) (then (return (i32.const -1))))
      (local.set $more (i32.load8_u (local.get $at)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (local.set $length (i32.add (local.get $length) (local.get $more)))
      (br_if $next (i32.eq (local.get $more) (i32.const 255))))
    (global.set $past (local.get $at))
    (local.get $length))

  ;; Unpacks the block from $at to $end to $to, of which there is room up to $most and eight bytes more; answers how many
  ;; bytes came out, or -1 where it is none. Reads up to eight bytes past $end.
  (func (export "unpack") (param $at i32) (param $end i32) (param $to i32) (param $most i32) (result i32)
    (local $first i32) (local $token i32) (local $length i32) (local $from i32) (local $stop i32)
    (local.set $first (local.get $to))
    (block $wrong
      (loop $sequence
        (br_if $wrong (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $token (i32.load8_u (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))

        ;; Literals.
        (local.set $length (i32.shr_u (local.get $token) (i32.const 4)))
        (if (i32.eq (local.get $length) (i32.const 15))
          (then
            (local.set $length (call $extended (local.get $at) (local.get $end) (local.get $length)))
            (br_if $wrong (i32.lt_s (local.get $length) (i32.const 0)))
            (local.set $at (global.get $past))))
        (br_if $wrong (i32.gt_u (local.get $length) (i32.sub (local.get $end) (local.get $at))))
        (br_if $wrong (i32.gt_u (local.get $length) (i32.sub (local.get $most) (local.get $to))))
        (if (i32.gt_u (local.get $length) (i32.const 32))
          (then (memory.copy (local.get $to) (local.get $at) (local.get $length)))
          (else
            (local.set $from (local.get $at))
            (local.set $stop (i32.add (local.get $to) (local.get $length)))
            (block $copied
              (loop $copy
                (br_if $copied (i32.ge_u (local.get $to) (local.get $stop)))
                (i64.store align=1 (local.get $to) (i64.load align=1 (local.get $from)))
                (local.set $to (i32.add (local.get $to) (i32.const 8)))
                (local.set $from (i32.add (local.get $from) (i32.const 8)))
                (br $copy)))
            (local.set $to (i32.sub (local.get $stop) (local.get $length)))))
        (local.set $at (i32.add (local.get $at) (local.get $length)))
        (local.set $to (i32.add (local.get $to) (local.get $length)))
        (if (i32.eq (local.get $at) (local.get $end))
          (then (return (i32.sub (local.get $to) (local.get $first)))))

        ;; A match.
        (br_if $wrong (i32.gt_u (i32.const 2) (i32.sub (local.get $end) (local.get $at))))
        (local.set $from (i32.load16_u align=1 (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.const 2)))
        (br_if $wrong (i32.eqz (local.get $from)))
        (br_if $wrong (i32.gt_u (local.get $from) (i32.sub (local.get $to) (local.get $first))))
        (local.set $length (i32.and (local.get $token) (i32.const 15)))
        (if (i32.eq (local.get $length) (i32.const 15))
          (then
            (local.set $length (call $extended (local.get $at) (local.get $end) (local.get $length)))
            (br_if $wrong (i32.lt_s (local.get $length) (i32.const 0)))
            (local.set $at (global.get $past))))
        (local.set $length (i32.add (local.get $length) (i32.const 4)))
        (br_if $wrong (i32.gt_u (local.get $length) (i32.sub (local.get $most) (local.get $to))))
        (local.set $stop (i32.add (local.get $to) (local.get $length)))
        (if (i32.ge_u (local.get $from) (local.get $length))
          (then
            (local.set $from (i32.sub (local.get $to) (local.get $from)))
            (if (i32.gt_u (local.get $length) (i32.const 64))
              (then (memory.copy (local.get $to) (local.get $from) (local.get $length)))
              (else
                (loop $copy
                  (i64.store align=1 (local.get $to) (i64.load align=1 (local.get $from)))
                  (local.set $to (i32.add (local.get $to) (i32.const 8)))
                  (local.set $from (i32.add (local.get $from) (i32.const 8)))
                  (br_if $copy (i32.lt_u (local.get $to) (local.get $stop)))))))
          (else
            (if (i32.eq (local.get $from) (i32.const 1))
              (then
                (memory.fill (local.get $to) (i32.load8_u (i32.sub (local.get $to) (i32.const 1))) (local.get $length)))
              (else
                (if (i32.ge_u (local.get $from) (i32.const 8))
                  (then
                    (local.set $from (i32.sub (local.get $to) (local.get $from)))
                    (loop $copy
                      (i64.store align=1 (local.get $to) (i64.load align=1 (local.get $from)))
                      (local.set $to (i32.add (local.get $to) (i32.const 8)))
                      (local.set $from (i32.add (local.get $from) (i32.const 8)))
                      (br_if $copy (i32.lt_u (local.get $to) (local.get $stop)))))
                  (else
                    (local.set $from (i32.sub (local.get $to) (local.get $from)))
                    (loop $copy
                      (i32.store8 (local.get $to) (i32.load8_u (local.get $from)))
                      (local.set $to (i32.add (local.get $to) (i32.const 1)))
                      (local.set $from (i32.add (local.get $from) (i32.const 1)))
                      (br_if $copy (i32.lt_u (local.get $to) (local.get $stop))))))))))
        (local.set $to (local.get $stop))
        (br $sequence)))
    (i32.const -1))

  (func $round (param $sum i64) (param $word i64) (result i64)
    (i64.mul
      (i64.rotl
        (i64.add (local.get $sum) (i64.mul (local.get $word) (i64.const 0xC2B2AE3D27D4EB4F)))
        (i64.const 31))
      (i64.const 0x9E3779B185EBCA87)))

  (func $merge (param $hash i64) (param $sum i64) (result i64)
    (i64.add
      (i64.mul
        (i64.xor (local.get $hash) (call $round (i64.const 0) (local.get $sum)))
        (i64.const 0x9E3779B185EBCA87))
      (i64.const 0x85EBCA77C2B2AE63)))

  ;; XXH64 of $count pages from $at on, of $size bytes each (a multiple of 32), seeded with $page and the numbers that
  ;; follow; eight bytes each to $to.
  (func (export "hash") (param $at i32) (param $size i32) (param $count i32) (param $page i64) (param $to i32)
    (local $stop i32) (local $a i64) (local $b i64) (local $c i64) (local $d i64) (local $hash i64)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $stop (i32.add (local.get $at) (local.get $size)))
        (local.set $a (i64.add (local.get $page) (i64.const 0x60EA27EEADC0B5D6)))
        (local.set $b (i64.add (local.get $page) (i64.const 0xC2B2AE3D27D4EB4F)))
        (local.set $c (local.get $page))
        (local.set $d (i64.sub (local.get $page) (i64.const 0x9E3779B185EBCA87)))
        (loop $stripe
          (local.set $a (call $round (local.get $a) (i64.load (local.get $at))))
          (local.set $b (call $round (local.get $b) (i64.load offset=8 (local.get $at))))
          (local.set $c (call $round (local.get $c) (i64.load offset=16 (local.get $at))))
          (local.set $d (call $round (local.get $d) (i64.load offset=24 (local.get $at))))
          (local.set $at (i32.add (local.get $at) (i32.const 32)))
          (br_if $stripe (i32.lt_u (local.get $at) (local.get $stop))))
        (local.set $hash
          (i64.add
            (i64.add (i64.rotl (local.get $a) (i64.const 1)) (i64.rotl (local.get $b) (i64.const 7)))
            (i64.add (i64.rotl (local.get $c) (i64.const 12)) (i64.rotl (local.get $d) (i64.const 18)))))
        (local.set $hash (call $merge (local.get $hash) (local.get $a)))
        (local.set $hash (call $merge (local.get $hash) (local.get $b)))
        (local.set $hash (call $merge (local.get $hash) (local.get $c)))
        (local.set $hash (call $merge (local.get $hash) (local.get $d)))
        (local.set $hash (i64.add (local.get $hash) (i64.extend_i32_u (local.get $size))))
        (local.set $hash
          (i64.mul
            (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 33)))
            (i64.const 0xC2B2AE3D27D4EB4F)))
        (local.set $hash
          (i64.mul
            (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 29)))
            (i64.const 0x165667B19E3779F9)))
        (i64.store (local.get $to) (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 32))))
        (local.set $to (i32.add (local.get $to) (i32.const 8)))
        (local.set $page (i64.add (local.get $page) (i64.const 1)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next))))

  (func $round32 (param $sum i32) (param $word i32) (result i32)
    (i32.mul
      (i32.rotl
        (i32.add (local.get $sum) (i32.mul (local.get $word) (i32.const 0x85EBCA77)))
        (i32.const 13))
      (i32.const 0x9E3779B1)))

  ;; Takes the bytes from $at to $end, whole stripes of sixteen, at least one, into the four sums of XXH32 at $sums.
  (func (export "stripes") (param $at i32) (param $end i32) (param $sums i32)
    (local $a i32) (local $b i32) (local $c i32) (local $d i32)
    (local.set $a (i32.load (local.get $sums)))
    (local.set $b (i32.load offset=4 (local.get $sums)))
    (local.set $c (i32.load offset=8 (local.get $sums)))
    (local.set $d (i32.load offset=12 (local.get $sums)))
    (loop $stripe
      (local.set $a (call $round32 (local.get $a) (i32.load (local.get $at))))
      (local.set $b (call $round32 (local.get $b) (i32.load offset=4 (local.get $at))))
      (local.set $c (call $round32 (local.get $c) (i32.load offset=8 (local.get $at))))
      (local.set $d (call $round32 (local.get $d) (i32.load offset=12 (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (br_if $stripe (i32.lt_u (local.get $at) (local.get $end))))
    (i32.store (local.get $sums) (local.get $a))
    (i32.store offset=4 (local.get $sums) (local.get $b))
    (i32.store offset=8 (local.get $sums) (local.get $c))
    (i32.store offset=12 (local.get $sums) (local.get $d))))
