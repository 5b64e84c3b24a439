//! People's words in fields of AWS that don't take every character. A name or a reason that was refused
//! for a comma would stop a training, so it is made to fit instead; whole, it stays in our own records.

/// Most characters of a tag's or a metadata property's value.
const MOST_OF_A_VALUE: usize = 256;

/// As the value of a tag or of a metadata property: `[\p{L}\p{Z}\p{N}_.:/=+\-@]*`, 256 characters at
/// most. Anything else becomes a space: `Ann O'Neil, ops` is `Ann O Neil ops`.
pub fn value(text: &str) -> String {
    fitted(text, MOST_OF_A_VALUE, |c| {
        is_letter(c) || c.is_numeric() || "_.:/=+-@".contains(c)
    })
}

/// As a description: `[\p{L}\p{M}\p{Z}\p{S}\p{N}\p{P}]*`, so no line breaks and nothing invisible, and
/// `most` characters at most.
pub fn description(text: &str, most: usize) -> String {
    fitted(text, most, is_visible)
}

/// What isn't kept is a space, and spaces in a row are one.
fn fitted(text: &str, most: usize, keep: impl Fn(char) -> bool) -> String {
    let kept: String = text
        .chars()
        .map(|c| if keep(c) { c } else { ' ' })
        .collect();
    let words: Vec<&str> = kept.split_whitespace().collect();
    let fitted: String = words.join(" ").chars().take(most).collect();
    fitted.trim_end().to_owned()
}

/// A letter of a script that writes without combining marks. [`char::is_alphabetic`] also takes marks,
/// which `\p{L}` doesn't.
fn is_letter(c: char) -> bool {
    let of_such_a_script = matches!(
        c,
        '\0'..='\u{2ff}' // Latin
        | '\u{370}'..='\u{52f}' // Greek, Cyrillic
        | '\u{1e00}'..='\u{1fff}' // more Latin and Greek
        | '\u{3041}'..='\u{30ff}' // kana
        | '\u{4e00}'..='\u{9fff}' // Han
        | '\u{ac00}'..='\u{d7a3}' // Hangul
    );
    of_such_a_script && c.is_alphabetic()
}

/// Neither a control, nor a format, nor a private character.
fn is_visible(c: char) -> bool {
    let hidden = matches!(
        c,
        '\u{ad}'
        | '\u{600}'..='\u{605}'
        | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{e000}'..='\u{f8ff}'
        | '\u{feff}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{e0000}'..
    );
    !hidden && !c.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_what_tags_take() {
        for (text, expected) in [
            ("GitHubActions", "GitHubActions"),
            ("ann@example.com", "ann@example.com"),
            ("Ann O'Neil, ops", "Ann O Neil ops"),
            (
                "overridden-by Jürgen\nMüller (ops)",
                "overridden-by Jürgen Müller ops",
            ),
            ("渡辺 直美", "渡辺 直美"),
            ("e\u{301}", "e"),
            ("0.8917 s3://a/b=c+d_e", "0.8917 s3://a/b=c+d_e"),
            ("!?", ""),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
        assert_eq!(value(&"ä ".repeat(300)).chars().count(), 255);
    }

    #[test]
    fn descriptions_are_one_line() {
        assert_eq!(
            description("a strike\r\n\tin March \u{200b}(≥ 5 %), 'so'", 1024),
            "a strike in March (≥ 5 %), 'so'"
        );
        assert_eq!(description("abc", 2), "ab");
    }
}
