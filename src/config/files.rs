//! Reading of files, none of which is read beyond a bound.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The largest file that is read.
const MAX_FILE: u64 = 16 << 20;

/// The text of a file.
///
/// # Errors
/// That it cannot be read, is too large or is no text.
pub fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX_FILE >> 20)));
    }
    let no_text = |_| io::Error::new(ErrorKind::InvalidData, "stream did not contain valid UTF-8");
    String::from_utf8(bytes).map_err(no_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_not_read_beyond_the_bound() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // Its end is within a character.
        let mut text = "x".repeat(MAX_FILE as usize);
        std::fs::write(file.path(), &text).unwrap();
        assert_eq!(read(file.path()).unwrap().len() as u64, MAX_FILE);
        text.push('é');
        std::fs::write(file.path(), &text).unwrap();
        assert_eq!(read(file.path()).unwrap_err().to_string(), "it is larger than 16 MiB");
        let errors = super::super::load_policies(file.path()).unwrap_err();
        assert!(errors.to_string().contains("cannot be read: it is larger than 16 MiB"));
    }
}
