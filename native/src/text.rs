//! Hessian's strings: each UTF-16 unit as one to three bytes (CESU-8).

/// Decode `units` UTF-16 units from the front of `data`: the text and its length in bytes.
///
/// None for what only the pure codec judges: malformed or missing bytes, and lone
/// surrogates, which Rust's text cannot hold.
pub fn decode(data: &[u8], units: usize) -> Option<(String, usize)> {
    let mut text = String::with_capacity(units.min(data.len()) + units.min(data.len()) / 2);
    let mut at = 0;
    let mut left = units;
    while left > 0 {
        left -= 1;
        let first = *data.get(at)?;
        match first {
            0..=0x7f => {
                text.push(char::from(first));
                at += 1;
            }
            0xc2..=0xdf => {
                let unit = (u32::from(first) & 0x1f) << 6 | continuation(data, at + 1)?;
                text.push(char::from_u32(unit)?);
                at += 2;
            }
            0xe0..=0xef => {
                let unit = three_bytes(data, at)?;
                at += 3;
                if (0xd800..0xdc00).contains(&unit) {
                    if left == 0 {
                        return None;
                    }
                    left -= 1;
                    let low = three_bytes(data, at)?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return None;
                    }
                    at += 3;
                    let wide = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                    text.push(char::from_u32(wide)?);
                } else {
                    text.push(char::from_u32(unit)?); // none for a lone low surrogate
                }
            }
            _ => return None,
        }
    }
    Some((text, at))
}

fn continuation(data: &[u8], at: usize) -> Option<u32> {
    let byte = *data.get(at)?;
    (byte & 0xc0 == 0x80).then_some(u32::from(byte) & 0x3f)
}

fn three_bytes(data: &[u8], at: usize) -> Option<u32> {
    let first = *data.get(at)?;
    if first & 0xf0 != 0xe0 {
        return None;
    }
    let unit = (u32::from(first) & 0x0f) << 12
        | continuation(data, at + 1)? << 6
        | continuation(data, at + 2)?;
    (unit >= 0x800).then_some(unit)
}

/// Append UTF-8 as CESU-8: characters beyond U+FFFF become two units of three bytes.
pub fn encode(text: &str, into: &mut Vec<u8>) {
    let mut units = [0_u16; 2];
    let mut bytes = [0_u8; 4];
    for character in text.chars() {
        if character > '\u{ffff}' {
            for unit in character.encode_utf16(&mut units) {
                into.extend_from_slice(&[
                    0xe0 | (*unit >> 12) as u8,
                    0x80 | (*unit >> 6 & 0x3f) as u8,
                    0x80 | (*unit & 0x3f) as u8,
                ]);
            }
        } else {
            into.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
        }
    }
}

/// How many UTF-16 units a text has.
pub fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}
