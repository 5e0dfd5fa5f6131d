//! A settings file: refused with sentences, or what `config print` says of it means the same.
//! No text in a file may stop a start without a word about its line.

use landfall_server::doors::settings_of;

pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    // A password is read from another file, and a target reads none.
    if text.contains("pass") || text.contains('\\') {
        return;
    }
    match settings_of(&text) {
        Ok((printed, effective)) => match settings_of(&printed) {
            Ok((_, again)) => assert_eq!(again, effective, "printed as:\n{printed}"),
            Err(problems) => panic!("what was printed is refused: {problems}\n{printed}"),
        },
        Err(problems) => assert!(!problems.is_empty()),
    }
}
