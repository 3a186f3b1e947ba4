//! Markdown at 100 columns: paragraphs and list items are filled, everything else stays as it is.

const COLUMNS: usize = 100;

/// The page with its prose wrapped.
pub fn wrap(page: &str) -> String {
    let mut out = String::new();
    let mut open: Option<(&str, String)> = None;
    for line in page.lines() {
        let is_prose = !line.is_empty() && !line.starts_with(['|', '#', '!', '<']);
        let item = line.strip_prefix("- ");
        match &mut open {
            Some((_, text)) if is_prose && item.is_none() => {
                text.push(' ');
                text.push_str(line.trim_start());
                continue;
            }
            _ => {}
        }
        close(&mut out, open.take());
        if is_prose {
            let lead = if item.is_some() { "- " } else { "" };
            open = Some((lead, item.unwrap_or(line).to_owned()));
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    close(&mut out, open);
    out
}

fn close(out: &mut String, block: Option<(&str, String)>) {
    let Some((lead, text)) = block else { return };
    let indent = " ".repeat(lead.len());
    let mut line = lead.to_owned();
    for word in words(&text) {
        let is_first = line.len() == lead.len();
        let separator = usize::from(!is_first);
        if !is_first && line.chars().count() + separator + word.chars().count() > COLUMNS {
            out.push_str(&line);
            out.push('\n');
            line.clone_from(&indent);
        } else if !is_first {
            line.push(' ');
        }
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}

/// What may not be broken: words, `code in backticks` and [texts of links](…).
fn words(text: &str) -> Vec<&str> {
    let (mut words, mut begin) = (Vec::new(), 0);
    let (mut in_code, mut in_link) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            '`' => in_code = !in_code,
            '[' if !in_code => in_link = true,
            ']' if !in_code => in_link = false,
            ' ' if !in_code && !in_link => {
                words.extend((begin < at).then(|| &text[begin..at]));
                begin = at + 1;
            }
            _ => {}
        }
    }
    words.extend((begin < text.len()).then(|| &text[begin..]));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_item_is_filled_and_indented() {
        let page = format!("# {0}\n\n- {0}\n  more `of the same`\n\n| {0} |\n", "word ".repeat(30).trim());
        let wrapped = wrap(&page);
        let longest = wrapped.lines().filter(|line| !line.starts_with(['#', '|'])).map(str::len).max();
        assert!(longest.is_some_and(|longest| longest <= COLUMNS), "{wrapped}");
        assert!(wrapped.contains("\n  word") && wrapped.contains("`of the same`\n\n|"), "{wrapped}");
        assert_eq!(wrap(&wrapped), wrapped);
    }
}
