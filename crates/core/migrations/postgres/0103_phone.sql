ALTER TABLE recipients ADD COLUMN phone TEXT NOT NULL DEFAULT ''; -- as E.164 has it when it is international, else as typed
-- as migration 0097 says
ALTER TABLE recipients ALTER COLUMN phone SET STATISTICS 0;

-- Until now a phone number could only be an attribute. One that fits into the field moves there; letters find it under
-- both names.
UPDATE recipients
SET phone = btrim(attributes ->> 'phone'), attributes = attributes - 'phone'
WHERE (jsonb_typeof(attributes -> 'phone') = 'string'
       OR (jsonb_typeof(attributes -> 'phone') = 'number' AND attributes ->> 'phone' ~ '^-?[0-9]+$'))
  AND length(btrim(attributes ->> 'phone')) BETWEEN 1 AND 64
  AND attributes ->> 'phone' !~ '[\x01-\x1f\x7f]';

-- +7 (900) 123-45-67 → +79001234567. "(0)" is dialled only within a country.
UPDATE recipients
SET phone = translate(phone, ' -.()', '')
WHERE phone NOT LIKE '%(0)%' AND translate(phone, ' -.()', '') ~ '^\+[1-9][0-9]{6,14}$';

-- The search finds a number as it is stored, and by its digits.
UPDATE recipients
SET search = search || ' ' || lower(phone) || ' ' || translate(phone, '+ -.()', '')
WHERE phone <> '';
