//! The examples do what they say.

#![cfg(feature = "sqlite")]

#[path = "../examples/page_views.rs"]
mod page_views;

// shows: S12
#[test]
fn the_page_views_example_counts_every_view() {
    page_views::main().unwrap();
}
