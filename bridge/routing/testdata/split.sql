-- The split of package routing in SQL, for keys made of parts joined by 0x00 (in NFC).
-- sha256 is PostgreSQL's function of that name; SQLite needs one as an extension.
-- A slot is floor(u * 10000 / 2^64). In halves of 32 bits no product passes 2^46:
--   (high * 10000 + (low * 10000 >> 32)) >> 32
WITH halves AS (SELECT id, key_u32(sha256(key), 0) AS high, key_u32(sha256(key), 4) AS low FROM keys),
     slots  AS (SELECT id, (high * 10000 + ((low * 10000) >> 32)) >> 32 AS slot FROM halves),
     sums   AS (SELECT id, position, SUM(weight) OVER (PARTITION BY id ORDER BY position) AS before, SUM(weight) OVER (PARTITION BY id) AS total FROM weights)
SELECT slots.id, slots.slot,
       COALESCE((SELECT MIN(position) FROM sums WHERE sums.id = slots.id AND total > 0 AND 10000 * before / total > slots.slot), -1) AS pick
FROM slots ORDER BY slots.id;
